"""Documents within what every database of MongoDB's protocol takes.

Metadata and results have keys and lists of any kind. A dot or a dollar in a key means something to
MongoDB, FerretDB 1.24 has no lists right inside lists, and drops the connection over a NaN.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

SPECIAL = re.compile(r"[%.$\x00]")
LIST = "%"  # no escaped key is a percent sign alone


def escaped(value: Any) -> Any:
    """Return ``value`` with ``%``, ``.``, ``$`` and NUL percent-encoded in every key of it, and
    each list of a list wrapped. Raises ValueError for a number that is not finite.
    """
    if isinstance(value, Mapping):
        return {_escape(key): escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_wrapped(escaped(inner)) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a document has finite numbers only")
    return value


def unescaped(value: Any) -> Any:
    """Undo `escaped`."""
    if isinstance(value, Mapping):
        if LIST in value:
            return unescaped(value[LIST])
        return {unquote(key): unescaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [unescaped(inner) for inner in value]
    return value


def _wrapped(value: Any) -> Any:
    return {LIST: value} if isinstance(value, list) else value


def _escape(key: str) -> str:
    return SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", str(key))
