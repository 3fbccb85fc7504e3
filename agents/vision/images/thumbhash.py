"""ThumbHash: a placeholder for a picture in about 25 bytes.

Source: the specification by Evan Wallace, https://evanw.github.io/thumbhash/. It stores the low
frequencies of luminance, of two colour differences and of alpha, quantised to four bits each.
"""

from __future__ import annotations

import base64
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LARGEST = 100


def thumbhash(image: Image.Image) -> str:
    """Return the ThumbHash of ``image`` (any size and mode) in base64."""
    small = image.convert("RGBA")
    small.thumbnail((_LARGEST, _LARGEST))
    return base64.b64encode(encode(np.asarray(small))).decode("ascii")


def encode(rgba: NDArray[np.uint8]) -> bytes:
    """Return the ThumbHash of ``rgba``, height × width × 4 bytes, at most 100 × 100 pixels.

    Raises ValueError for a larger picture.
    """
    height, width = rgba.shape[:2]
    if max(width, height) > _LARGEST:
        raise ValueError(f"{width}x{height} does not fit in {_LARGEST}x{_LARGEST}")
    planes, has_alpha = _planes(rgba)
    limit = 5 if has_alpha else 7  # fewer luminance terms leave room for alpha
    longest = max(width, height)
    columns = max(1, _round(limit * width / longest))
    rows = max(1, _round(limit * height / longest))
    l_dc, l_ac, l_scale = _channel(planes[0], max(3, columns), max(3, rows))
    p_dc, p_ac, p_scale = _channel(planes[1], 3, 3)
    q_dc, q_ac, q_scale = _channel(planes[2], 3, 3)
    landscape = width > height
    first = (
        _round(63 * l_dc)
        | _round(31.5 + 31.5 * p_dc) << 6
        | _round(31.5 + 31.5 * q_dc) << 12
        | _round(31 * l_scale) << 18
        | has_alpha << 23
    )
    second = (
        (rows if landscape else columns)
        | _round(63 * p_scale) << 3
        | _round(63 * q_scale) << 9
        | landscape << 15
    )
    head = first.to_bytes(3, "little") + second.to_bytes(2, "little")
    nibbles = [*l_ac, *p_ac, *q_ac]
    if has_alpha:
        a_dc, a_ac, a_scale = _channel(planes[3], 5, 5)
        head += bytes([_round(15 * a_dc) | _round(15 * a_scale) << 4])
        nibbles += a_ac
    return head + _packed(nibbles)


def _planes(rgba: NDArray[np.uint8]) -> tuple[list[NDArray[np.float64]], bool]:
    """Return luminance, yellow-blue, red-green and alpha, on the picture's average colour."""
    pixels = rgba.astype(np.float64) / 255
    alpha = pixels[..., 3]
    covered = alpha.sum()
    weighted = (pixels[..., :3] * alpha[..., None]).sum(axis=(0, 1))
    average = weighted / covered if covered else weighted
    colour = average * (1 - alpha[..., None]) + pixels[..., :3] * alpha[..., None]
    red, green, blue = colour[..., 0], colour[..., 1], colour[..., 2]
    planes = [(red + green + blue) / 3, (red + green) / 2 - blue, red - green, alpha]
    return planes, bool(covered < alpha.size)


def _channel(plane: NDArray[np.float64], nx: int, ny: int) -> tuple[float, list[int], float]:
    """Return the constant term, the other terms in 0–15, and their scale."""
    height, width = plane.shape
    across = np.cos(np.pi / width * np.outer(np.arange(nx), np.arange(width) + 0.5))
    down = np.cos(np.pi / height * np.outer(np.arange(ny), np.arange(height) + 0.5))
    terms = (down @ plane @ across.T) / (width * height)
    wanted = [
        float(terms[cy, cx])
        for cy in range(ny)
        for cx in range(0 if cy else 1, nx)
        if cx * ny < nx * (ny - cy)
    ]
    scale = max((abs(term) for term in wanted), default=0.0)
    quantised = [_round(15 * (0.5 + 0.5 * term / scale)) if scale else 0 for term in wanted]
    return float(terms[0, 0]), quantised, scale


def _packed(nibbles: list[int]) -> bytes:
    padded = [*nibbles, 0] if len(nibbles) % 2 else nibbles
    return bytes(low | high << 4 for low, high in zip(padded[::2], padded[1::2], strict=True))


def _round(value: float) -> int:
    """Round half up, like the reference in JavaScript."""
    return math.floor(value + 0.5)
