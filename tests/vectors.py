"""Vectors with known cosines."""

from __future__ import annotations

import math

from streams.events.embedding import SIZE, encode


def along(axis: int) -> str:
    """Return a unit vector along an axis, orthogonal to those along other axes."""
    return encode([1.0 if number == axis else 0.0 for number in range(SIZE)])


def like(cosine: float, *, axis: int = 1, to: int = 0) -> str:
    """Return a vector whose cosine with ``along(to)`` is ``cosine``; the rest is along ``axis``."""
    numbers = [0.0] * SIZE
    numbers[to], numbers[axis] = cosine, math.sqrt(1 - cosine**2)
    return encode(numbers)
