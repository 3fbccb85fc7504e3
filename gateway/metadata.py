"""What a sender may keep with a job: any JSON object that every store and every reader can hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator

from gateway.problems import Problem
from streams.events import Metadata

MOST_BYTES = 16_000
LARGEST = 2**63 - 1

# A NUL as JSON writes it; two backslashes before it are a backslash, and no NUL.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_TEXT = {"type": "string", "pattern": r"^[^\u0000]*$"}
_REFERENCE = {"$ref": "#/components/schemas/MetadataValue"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": _REFERENCE,
    "propertyNames": _TEXT,
    "description": "anything that you want to find in the job again, at most 16 kB as JSON",
}
COMPONENTS: dict[str, Any] = {
    "MetadataValue": {
        "description": "a value in metadata, at most 31 levels deep",
        "anyOf": [
            {"type": ["null", "boolean"]},
            {"type": "number", "minimum": -LARGEST, "maximum": LARGEST},
            _TEXT,
            {"type": "array", "items": _REFERENCE},
            {"type": "object", "additionalProperties": _REFERENCE, "propertyNames": _TEXT},
        ],
    }
}


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
