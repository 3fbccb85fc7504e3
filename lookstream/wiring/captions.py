"""Choose the captioner from settings: the shipped network, or another model."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import SecretStr

from lookstream.errors import CannotStart
from lookstream.settings import Settings

if TYPE_CHECKING:
    from agents.captioners.prompted import VisionModel
    from agents.stages.captioning import Captioner
    from agents.stages.resources import CaptionSource

NEEDED = {
    "gemini": ("gemini_api_key", "gemini_model_name"),
    "openai": ("openai_base_url", "openai_model_name"),
    "transformers": ("captions_directory",),
}
EXTRAS = {"gemini": "google.genai", "transformers": "transformers"}
REST_S = 60.0
"""Seconds without a request to an unavailable model while the fallback answers. Each failing
request may last `captions_timeout_s`."""


def check_captions(settings: Settings) -> None:
    """Raise `CannotStart` if the settings of the captions model are incomplete or wrong."""
    chosen = f"LOOKSTREAM_CAPTIONS={settings.captions}"
    if missing := [name for name in NEEDED.get(settings.captions, ()) if not _text(settings, name)]:
        raise CannotStart(f"{chosen} needs {' and '.join(map(Settings.variable, missing))}")
    for name in (f"{settings.captions}_api_key", f"{settings.captions}_base_url"):
        if name in Settings.model_fields and not _fits(name, _text(settings, name)):
            raise CannotStart(f"{Settings.variable(name)}: {_FORMS[name.rpartition('_')[2]]}")
    directory = Path(settings.captions_directory)
    if settings.captions == "transformers" and not (directory / "config.json").is_file():
        raise CannotStart(f"LOOKSTREAM_CAPTIONS_DIRECTORY: there is no model in {directory}")
    extra = EXTRAS.get(settings.captions)
    if extra and not _installed(extra):
        raise CannotStart(f"{chosen} needs pip install 'lookstream[{settings.captions}]'")


def open_chosen(settings: Settings) -> Captioner | None:
    """Return the captioner of another model; None if the settings choose the shipped network."""
    from agents.captioners.prompted import PromptedCaptioner

    if settings.captions == "local":
        return None
    rest_s = REST_S if _falls_back(settings) else 0.0
    return PromptedCaptioner(_model(settings), tries=_tries(settings), rest_s=rest_s)


def caption_source(
    settings: Settings, chosen: Captioner | None, local: Callable[[], Captioner]
) -> CaptionSource:
    """Return the captioner and its limits; ``local`` loads the shipped network if it is needed."""
    from agents.captioners.fallback import FallbackCaptioner
    from agents.stages.resources import CaptionSource

    if chosen is None:
        return CaptionSource(local())
    captioner = FallbackCaptioner(chosen, local()) if _falls_back(settings) else chosen
    parallel = 1 if settings.captions == "transformers" else settings.captions_at_once
    # One try can send two requests: the second without a schema. A request with a re-encoded
    # picture can follow. Then the shipped network runs.
    timeout_s = 2 * (_tries(settings) + 1) * settings.captions_timeout_s + 30.0
    return CaptionSource(captioner, batch=2 * parallel, timeout_s=timeout_s, threads=parallel)


def _falls_back(settings: Settings) -> bool:
    return settings.captions_fallback == "local"


def _tries(settings: Settings) -> int:
    """Return the number of tries in one call. Without a fallback, the runtime repeats the call."""
    return 2 if _falls_back(settings) else 1


def _model(settings: Settings) -> VisionModel:
    prompt, timeout_s = settings.captions_prompt, settings.captions_timeout_s
    if settings.captions == "gemini":
        from agents.captioners.gemini import GeminiModel

        return GeminiModel(
            model=settings.gemini_model_name,
            key=settings.gemini_api_key,
            base_url=settings.gemini_base_url,
            prompt=settings.gemini_prompt or prompt,
            timeout_s=timeout_s,
        )
    if settings.captions == "openai":
        from agents.captioners.openai import OpenAiModel

        return OpenAiModel(
            base_url=settings.openai_base_url,
            model=settings.openai_model_name,
            key=settings.openai_api_key,
            prompt=prompt,
            timeout_s=timeout_s,
        )
    from agents.captioners.transformers import TransformersModel

    directory = Path(settings.captions_directory)
    return TransformersModel(directory, prompt=prompt, timeout_s=timeout_s)


_FORMS = {
    "key": "a key has no spaces and only plain characters",
    "url": "write http(s)://host/path, without a name, a password or a query",
}


def _text(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value).strip()


def _fits(name: str, text: str) -> bool:
    if name.endswith("_api_key"):
        return text.isascii() and text.isprintable() and " " not in text
    try:
        url = urlsplit(text)
        plain = not ("@" in url.netloc or url.query or url.fragment)
        return not text or (url.scheme in ("http", "https") and bool(url.hostname) and plain)
    except ValueError:
        return False


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False
