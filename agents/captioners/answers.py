"""Convert a model's answer into a caption, or refuse it. Pure functions."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from agents.captioners.prompt import ATTRIBUTES, CAPTION_LENGTH
from agents.stages.errors import BadAnswer
from streams.events.models import Attribute, Captioned, Unit

SURE = 0.5
"""A type or colour with less confidence needs a person's review."""

_DESCRIPTION_LENGTH = 600
_VALUE_LENGTH = 40
_OPENINGS = 20
_NOTHING = {"", "-", "n/a", "na", "none", "not visible", "null", "unclear", "unknown"}
_DANGLING = {"a", "an", "and", "for", "in", "of", "on", "or", "the", "to", "with", "&"}


class _Attribute(BaseModel):
    name: str
    value: str
    confidence: Unit


class _Answer(BaseModel):
    caption: str
    description: str
    attributes: list[_Attribute] = Field(max_length=100)
    needs_review: bool


def captioned(words: str, model: str) -> Captioned:
    """Return the caption in ``words``, a model's answer in the form of `prompt.SCHEMA`.

    Raises `BadAnswer` (``caption-nonsense``).
    """
    try:
        answer = _Answer.model_validate(_object(words))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise nonsense(f"{place}: {first['msg']}") from None
    attributes = _attributes(answer.attributes)
    unsure = [name for name in ("type", "colour") if _confidence(attributes, name) < SURE]
    return Captioned(
        caption=_title(answer.caption),
        description=shortened(_plain(answer.description), _DESCRIPTION_LENGTH),
        attributes=attributes,
        needs_review=answer.needs_review or bool(unsure),
        model=model,
    )


def sentence(words: str, model: str) -> Captioned:
    """Return the caption of a model that writes only one sentence. The caption always needs review.

    Raises `BadAnswer` (``caption-nonsense``).
    """
    return Captioned(caption=_title(words), needs_review=True, model=model)


def nonsense(why: str) -> BadAnswer:
    """Return the error of an answer that is no caption. ``why`` must not quote the answer."""
    return BadAnswer("caption-nonsense", f"The model's answer is no caption ({why}).")


def shortened(text: str, length: int) -> str:
    """Return ``text`` cut after a word to at most ``length`` characters, or "" if that is not
    possible."""
    if len(text) <= length:
        return text
    words = text[: length + 1].rpartition(" ")[0].split(" ")
    while words and words[-1].lower() in _DANGLING:
        words.pop()
    return " ".join(words).rstrip(" ,;:-–—&/(")


def _title(text: str) -> str:
    title = _plain(text).strip("\"'“”‘’ ").rstrip(". ")
    if not any(character.isalnum() for character in title):
        raise nonsense("caption: empty")
    short = shortened(title, CAPTION_LENGTH)
    if not short:
        raise nonsense(f"caption: more than {CAPTION_LENGTH} characters without a space")
    return short


def _plain(text: str) -> str:
    """Return the printable characters as one line, without control characters and lone
    surrogates."""
    spaced = " ".join(text.split())
    return "".join(character for character in spaced if character.isprintable())


def _attributes(told: list[_Attribute]) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for each in told:
        name, value = _plain(each.name).lower(), _plain(each.value).lower()
        value = shortened(value, _VALUE_LENGTH)
        if name in ATTRIBUTES and name not in found and value not in _NOTHING:
            found[name] = Attribute(value=value, confidence=each.confidence)
    return {name: found[name] for name in ATTRIBUTES if name in found}


def _confidence(attributes: dict[str, Attribute], name: str) -> float:
    return attributes[name].confidence if name in attributes else 0.0


def _object(words: str) -> Any:
    """Return the first JSON object in ``words``. Models add code fences, or write their reasoning
    first. Raises `BadAnswer`."""
    _, _, words = words.rpartition("</think>")
    decoder, start = json.JSONDecoder(), -1
    for _ in range(_OPENINGS):
        start = words.find("{", start + 1)
        if start < 0:
            break
        try:
            return decoder.raw_decode(words, start)[0]
        except (ValueError, RecursionError):
            continue
    raise nonsense("it holds no JSON object")
