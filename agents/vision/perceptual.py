"""A perceptual hash: alike pictures differ in few of its 64 bits."""

from __future__ import annotations

import math
from operator import mul
from statistics import median

from PIL import Image

_SIDE, _LOW = 32, 8
_COSINES = [
    [math.cos(math.pi * k * (2 * n + 1) / (2 * _SIDE)) for n in range(_SIDE)] for k in range(_LOW)
]


def perceptual_hash(image: Image.Image) -> str:
    """Return 16 hex digits: the signs of the 64 lowest DCT coefficients about their median.

    The pHash of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions"
    (2010), on a grey 32×32 reduction. Plain Python: the decoding child does without numpy.
    """
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS).tobytes()
    rows = [grey[y * _SIDE : (y + 1) * _SIDE] for y in range(_SIDE)]
    across = [[sum(map(mul, cosine, row)) for row in rows] for cosine in _COSINES]
    low = [sum(map(mul, cosine, column)) for cosine in _COSINES for column in across]
    middle = median(low)
    bits = sum(1 << (63 - i) for i, value in enumerate(low) if value > middle)
    return f"{bits:016x}"
