"""The vector of a photo, by which photos are compared, as the text that events carry.

A vector has 128 numbers (`SIZE`) without a unit, and length 1: the product of two is the cosine of
the angle between them, 1 for the same, 0 for nothing in common, -1 for the opposite. As text it is
base64 (RFC 4648) of little-endian half floats (IEEE 754 binary16): 256 bytes, 344 characters.
Halves keep three digits of each number, and a cosine to within 0.001. Vectors of different models
say nothing of each other.
"""

from __future__ import annotations

import math
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterable

SIZE = 128
CHARACTERS = 344

_HALVES = struct.Struct(f"<{SIZE}e")
LENGTH_TOLERANCE = 0.01
"""How far from 1 the length of a vector may be. Halves take less than a tenth of that."""


def encode(vector: Iterable[float]) -> str:
    """Return the text of ``vector``, `SIZE` numbers, which are scaled to length 1.

    Raises ValueError for another number of them, for what is not finite, and for zeros alone.
    """
    numbers = [float(number) for number in vector]
    length = math.hypot(*numbers)
    if len(numbers) != SIZE or not 0.0 < length < math.inf:
        raise ValueError(f"an embedding has {SIZE} finite numbers that are not all zero")
    return b64encode(_HALVES.pack(*(number / length for number in numbers))).decode()


def decode(text: str) -> tuple[float, ...]:
    """Return the `SIZE` numbers in ``text``. Raises ValueError for what `encode` never writes."""
    numbers: tuple[float, ...] = _HALVES.unpack(half_floats(text))
    if not abs(math.hypot(*numbers) - 1.0) <= LENGTH_TOLERANCE:  # nor anything that is not a number
        raise ValueError("an embedding is a vector of length 1")
    return numbers


def half_floats(text: str) -> bytes:
    """Return the half floats in ``text`` as they lie in memory, unread, for those who have many.

    Raises ValueError for what is not base64 of so many bytes.
    """
    halves = b64decode(text, validate=True)
    if len(halves) != _HALVES.size:
        raise ValueError(f"an embedding has {_HALVES.size} bytes, not {len(halves)}")
    return halves
