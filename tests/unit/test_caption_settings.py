"""The settings choose the captioner. Incomplete settings stop the worker with a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agents.stages.captioning import Captioner, Described, captioning_stage
from agents.stages.stage import Stage
from lookstream.errors import CannotStart
from lookstream.settings import Settings
from lookstream.wiring.captions import caption_source, check_captions, open_chosen
from storage.artifacts.store import ArtifactStore

GEMINI = {"captions": "gemini", "gemini_api_key": "k", "gemini_model_name": "m"}
OPENAI = {"captions": "openai", "openai_base_url": "http://h/v1", "openai_model_name": "m"}
DIRECTORY = {"captions": "transformers", "captions_directory": "/nowhere"}


class Shipped:
    model_id = "shipped"
    version = "shipped-1"

    def describe(self, contents: Sequence[str], artifacts: ArtifactStore) -> list[Described]:
        return []

    def warm_up(self) -> None:
        """Load nothing."""


def built(settings: Settings, local: Callable[[], Captioner]) -> Stage:
    source = caption_source(settings, open_chosen(settings), local)
    return captioning_stage(
        source.captioner, batch=source.batch, timeout_s=source.timeout_s, threads=source.threads
    )


@pytest.mark.parametrize("given", [{}, GEMINI, OPENAI, {**OPENAI, "openai_api_key": "k"}])
def test_complete_settings_are_accepted(given: dict[str, Any]) -> None:
    check_captions(Settings(**given))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"captions": "gemini"}, "needs GEMINI_API_KEY and GEMINI_MODEL_NAME"),
        ({**GEMINI, "gemini_api_key": " \n"}, "needs GEMINI_API_KEY"),
        ({**GEMINI, "gemini_api_key": "two words"}, "GEMINI_API_KEY: a key has no spaces"),
        ({**GEMINI, "gemini_api_key": "a\r\nb"}, "GEMINI_API_KEY: a key has no spaces"),
        ({**GEMINI, "gemini_api_key": "schlüssel"}, "GEMINI_API_KEY: a key has no spaces"),
        ({**GEMINI, "gemini_base_url": "proxy"}, "GEMINI_BASE_URL: write http"),
        ({"captions": "openai"}, "needs OPENAI_BASE_URL and OPENAI_MODEL_NAME"),
        ({**OPENAI, "openai_model_name": ""}, "needs OPENAI_MODEL_NAME"),
        ({**OPENAI, "openai_base_url": "ftp://h"}, "OPENAI_BASE_URL: write http"),
        ({**OPENAI, "openai_base_url": "http://a:b@h/v1"}, "OPENAI_BASE_URL: write http"),
        ({**OPENAI, "openai_base_url": "http://h/v1?key=k"}, "OPENAI_BASE_URL: write http"),
        ({**OPENAI, "openai_base_url": "http://[h/v1"}, "OPENAI_BASE_URL: write http"),
        ({"captions": "transformers"}, "needs LOOKSTREAM_CAPTIONS_DIRECTORY"),
        (DIRECTORY, "LOOKSTREAM_CAPTIONS_DIRECTORY: there is no model in /nowhere"),
    ],
)
def test_a_missing_or_malformed_setting_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(CannotStart) as raised:
        check_captions(Settings(**given))
    assert said in str(raised.value)
    assert "two words" not in str(raised.value)


def test_keys_come_from_the_environment_by_their_own_names_and_stay_private(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "hush\n")
    monkeypatch.setenv("OPENAI_API_KEY", "hush")
    settings = Settings()
    assert settings.gemini_api_key.get_secret_value() == "hush"
    assert settings.openai_api_key.get_secret_value() == "hush"
    assert "hush" not in repr(settings) + settings.model_dump_json()


def test_the_default_captioner_is_the_shipped_network() -> None:
    stage = built(Settings(), Shipped)
    assert (stage.version, stage.threads) == ("shipped-1", 0)


def test_the_shipped_network_loads_only_if_it_may_be_used() -> None:
    def never() -> Shipped:
        raise AssertionError("half a gigabyte for nothing")

    stage = built(Settings(**OPENAI), never)
    assert stage.version.startswith("openai-m-")
    fallback = built(Settings(**OPENAI, captions_fallback="local"), Shipped)
    assert fallback.version == stage.version


@pytest.mark.parametrize(("fallback", "questions"), [("none", 4), ("local", 6)])
def test_the_stage_has_time_and_threads_for_its_requests(fallback: str, questions: int) -> None:
    settings = Settings(
        **OPENAI, captions_fallback=fallback, captions_timeout_s=100, captions_at_once=7
    )
    stage = built(settings, Shipped)
    assert stage.threads == 7
    assert stage.batch >= 7
    assert stage.timeout_s > questions * 100


def test_a_changed_prompt_changes_the_version() -> None:
    def version(**more: Any) -> str:
        return built(Settings(**{**GEMINI, **more}), Shipped).version

    own = version(captions_prompt="In Latin.")
    assert version() != own
    assert version(gemini_prompt="In Latin.") == own
    assert version(gemini_prompt="In Latin.", captions_prompt="In Greek.") == own
    assert version(gemini_base_url="http://proxy") == version()
