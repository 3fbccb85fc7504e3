"""The options of a submission, in JSON and in forms."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.http.problems import Problem
from streams.events.models import Lane, Metadata

# Metadata: any JSON object that every store and every reader can represent.
MOST_BYTES = 16_000
LARGEST = 2**63 - 1

# A NUL in JSON. Two backslashes before it mean a backslash, not a NUL.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_TEXT = {"type": "string", "pattern": r"^[^\u0000]*$"}
_SCALARS: list[dict[str, Any]] = [
    {"type": "boolean"},
    {"type": "number", "minimum": -LARGEST, "maximum": LARGEST},
    _TEXT,
    {"type": "null"},
]
_VALUES = [
    *_SCALARS,
    {"type": "array", "items": {"anyOf": _SCALARS}},
    {"type": "object", "additionalProperties": {"anyOf": _SCALARS}, "propertyNames": _TEXT},
]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {"anyOf": _VALUES},
    "propertyNames": _TEXT,
    "description": "any JSON object, at most 16 kB and 31 levels deep; deeper levels hold the same "
    "kinds of values",
}
"""Metadata for the OpenAPI document. Client generators cannot handle a recursive schema, so only
two levels are described."""


def _kept(metadata: dict[str, Any]) -> dict[str, Any]:
    """Refuse values that a store cannot represent. Raises `Problem` if metadata is too large."""
    if any(abs(number) > LARGEST for number in _numbers(metadata)):
        raise ValueError("numbers have at most 63 bits")
    try:
        text = json.dumps(
            metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except ValueError:
        raise ValueError("numbers must be finite and texts must be Unicode") from None
    if _NUL.search(text):
        raise ValueError("NUL characters are not allowed")
    if len(text) > MOST_BYTES:
        raise Problem(
            "metadata-too-large", f"metadata has {len(text)} bytes; {MOST_BYTES} are allowed"
        )
    return metadata


def _numbers(value: Any) -> Iterator[float]:
    """Yield the numbers in a value. The depth has been checked before."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, int | float):
        yield value


KeptMetadata = Annotated[Metadata, AfterValidator(_kept)]


LONGEST_GROUP = 128
PLAIN = r"^[^\u0000-\u001f\u007f-\u009f]*$"


def plain(text: str) -> str:
    """Return ``text``. Raises ValueError for control characters and lone surrogates."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("control characters are not allowed")
    return text


Plain = Annotated[str, Field(json_schema_extra={"pattern": PLAIN}), AfterValidator(plain)]
Group = Annotated[
    str,
    Field(
        max_length=LONGEST_GROUP,
        description="the collection of the jobs",
        json_schema_extra={"pattern": PLAIN},
    ),
    AfterValidator(plain),
]
StageNames = Annotated[
    Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=1000, fail_fast=True)]
    | Annotated[str, Field(max_length=2000)],
    Field(description="the wanted stages; stages that they need are added; empty means all"),
]


class Options(BaseModel):
    """How the photos of a submission are processed, and the data that is stored with their jobs."""

    model_config = ConfigDict(frozen=True, strict=True)

    stages: StageNames = Field(default_factory=list)
    group: Group | None = None
    metadata: KeptMetadata = Field(
        default_factory=dict,
        description="any JSON object that is stored with the job, at most 16 kB",
    )
    lane: Lane = Field(
        default="interactive",
        description="stored with the job; has no effect on the processing yet",
    )
    force: bool = Field(default=False, description="compute known results again")
    filename: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None,
        description="the name of the photo's file, for a photo in base64 or behind an upload link",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the stages."""
        return stage_names(self.stages)


def stage_names(given: list[str] | str) -> tuple[str, ...]:
    """Return the names in ``given``: a list, or text separated by commas."""
    if not isinstance(given, str):
        return tuple(given)
    return tuple(name.strip() for name in given.split(",") if name.strip())
