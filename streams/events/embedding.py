"""The embedding of a photo: a vector for comparing photos, and its text form in events.

A vector has 128 numbers (`SIZE`) without a unit, and length 1. The product of two vectors is the
cosine of their angle: 1 for equal directions, 0 for orthogonal, -1 for opposite. The text is base64
(RFC 4648) of little-endian half floats (IEEE 754 binary16): 256 bytes, 344 characters. Half floats
keep three digits of each number, and a cosine to within 0.001. Vectors of different models cannot
be compared.
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
"""Allowed deviation of a vector's length from 1. Rounding to half floats changes the length by less
than a tenth of this value."""


def encode(vector: Iterable[float]) -> str:
    """Return the text of ``vector``, `SIZE` numbers, scaled to length 1.

    Raises ValueError for another size, for numbers that are not finite, and if all are zero.
    """
    numbers = [float(number) for number in vector]
    length = math.hypot(*numbers)
    if len(numbers) != SIZE or not 0.0 < length < math.inf:
        raise ValueError(f"an embedding has {SIZE} finite numbers that are not all zero")
    return b64encode(_HALVES.pack(*(number / length for number in numbers))).decode()


def decode(text: str) -> tuple[float, ...]:
    """Return the `SIZE` numbers in ``text``. Raises ValueError if ``text`` is not base64 of 256
    bytes, or if the vector's length is not 1."""
    numbers: tuple[float, ...] = _HALVES.unpack(half_floats(text))
    if not abs(math.hypot(*numbers) - 1.0) <= LENGTH_TOLERANCE:  # also refuses NaN
        raise ValueError("an embedding is a vector of length 1")
    return numbers


def half_floats(text: str) -> bytes:
    """Return the half floats in ``text`` as 256 bytes, for callers that decode many at once.

    Does not check the numbers. Raises ValueError if ``text`` is not base64 of 256 bytes.
    """
    halves = b64decode(text, validate=True)
    if len(halves) != _HALVES.size:
        raise ValueError(f"an embedding has {_HALVES.size} bytes, not {len(halves)}")
    return halves
