"""Vectors of which it is known how alike they are."""

from __future__ import annotations

import math

from streams.events.embedding import SIZE, encode


def along(axis: int) -> str:
    """Return a vector that has nothing in common with that along another axis."""
    return encode([1.0 if number == axis else 0.0 for number in range(SIZE)])


def like(cosine: float, *, axis: int = 1, to: int = 0) -> str:
    """Return a vector whose cosine with ``along(to)`` is ``cosine``; the rest is along ``axis``."""
    numbers = [0.0] * SIZE
    numbers[to], numbers[axis] = cosine, math.sqrt(1 - cosine**2)
    return encode(numbers)
