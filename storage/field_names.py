"""Field names that every database of MongoDB's protocol takes.

Metadata and results have keys of any kind; a dot or a dollar in one means something to MongoDB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

SPECIAL = re.compile(r"[%.$\x00]")


def escaped(value: Any) -> Any:
    """Return ``value`` with ``%``, ``.``, ``$`` and NUL percent-encoded in every key of it."""
    if isinstance(value, Mapping):
        return {_escape(key): escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [escaped(inner) for inner in value]
    return value


def unescaped(value: Any) -> Any:
    """Undo `escaped`."""
    if isinstance(value, Mapping):
        return {unquote(key): unescaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [unescaped(inner) for inner in value]
    return value


def _escape(key: str) -> str:
    return SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", str(key))
