"""What may be said of a submission besides its photos, in JSON and in forms alike."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.http.problems import Problem
from streams.events.models import Lane, Metadata

# What a sender may keep with a job: any JSON object that every store and every reader can hold.
MOST_BYTES = 16_000
LARGEST = 2**63 - 1

# A NUL as JSON writes it; two backslashes before it are a backslash, and no NUL.
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
    """Refuse what no store could keep. Raises `Problem` for what is merely too much."""
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
    """Yield the numbers in a value whose depth has been checked."""
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
    """Return ``text``; raise ValueError when it has control characters, or halves of one."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("control characters are not allowed")
    return text


Plain = Annotated[str, Field(json_schema_extra={"pattern": PLAIN}), AfterValidator(plain)]
Group = Annotated[
    str,
    Field(
        max_length=LONGEST_GROUP,
        description="a collection that the jobs belong to",
        json_schema_extra={"pattern": PLAIN},
    ),
    AfterValidator(plain),
]
StageNames = Annotated[
    list[Annotated[str, Field(max_length=100)]] | Annotated[str, Field(max_length=2000)],
    Field(description="the stages wanted, with all they need; none means all"),
]


class Options(BaseModel):
    """What is wanted of a submission's photos, and what its sender keeps with them."""

    model_config = ConfigDict(frozen=True, strict=True)

    stages: StageNames = Field(default_factory=list)
    group: Group | None = None
    metadata: KeptMetadata = Field(
        default_factory=dict,
        description="anything that you want to find in the job again, at most 16 kB as JSON",
    )
    lane: Lane = Field(default="interactive", description="`bulk` for what may wait")
    force: bool = Field(default=False, description="compute again what is known already")

    @property
    def names(self) -> tuple[str, ...]:
        """The stages as they were named, one by one."""
        return stage_names(self.stages)


def stage_names(given: list[str] | str) -> tuple[str, ...]:
    """Return the names in ``given``: a list of them, or text with commas between."""
    if not isinstance(given, str):
        return tuple(given)
    return tuple(name.strip() for name in given.split(",") if name.strip())
