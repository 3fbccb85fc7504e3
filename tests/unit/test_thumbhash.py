"""ThumbHash: compared with the published reference, and the properties of the hash."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from agents.vision.images.thumbhash import encode, thumbhash
from tests.garments import dress, tshirt


def specified(rgba: NDArray[np.uint8]) -> bytes:
    """Return the hash by the loops of the published reference."""
    h, w = rgba.shape[:2]
    pixels = [[float(v) for v in pixel] for pixel in rgba.reshape(-1, 4)]
    total = [0.0, 0.0, 0.0, 0.0]
    for r, g, b, a in pixels:
        alpha = a / 255
        for i, v in enumerate((r, g, b)):
            total[i] += alpha / 255 * v
        total[3] += alpha
    mean = [t / total[3] if total[3] else t for t in total[:3]]
    has_alpha = total[3] < w * h
    limit = 5 if has_alpha else 7
    lx, ly = max(1, rounded(limit * w / max(w, h))), max(1, rounded(limit * h / max(w, h)))
    planes: list[list[float]] = [[], [], [], []]
    for red, green, blue, a in pixels:
        alpha = a / 255
        r, g, b = (
            m * (1 - alpha) + alpha / 255 * v for m, v in zip(mean, (red, green, blue), strict=True)
        )
        for plane, v in zip(planes, ((r + g + b) / 3, (r + g) / 2 - b, r - g, alpha), strict=True):
            plane.append(v)
    (l_dc, l_ac, l_s), (p_dc, p_ac, p_s), (q_dc, q_ac, q_s) = (
        channel(planes[0], w, h, max(3, lx), max(3, ly)),
        channel(planes[1], w, h, 3, 3),
        channel(planes[2], w, h, 3, 3),
    )
    head = rounded(63 * l_dc) | rounded(31.5 + 31.5 * p_dc) << 6
    head |= rounded(31.5 + 31.5 * q_dc) << 12 | rounded(31 * l_s) << 18 | has_alpha << 23
    tail = (ly if w > h else lx) | rounded(63 * p_s) << 3 | rounded(63 * q_s) << 9 | (w > h) << 15
    data = [head & 255, head >> 8 & 255, head >> 16, tail & 255, tail >> 8]
    terms = [*l_ac, *p_ac, *q_ac]
    if has_alpha:
        a_dc, a_ac, a_s = channel(planes[3], w, h, 5, 5)
        data.append(rounded(15 * a_dc) | rounded(15 * a_s) << 4)
        terms += a_ac
    start = len(data)
    data += [0] * math.ceil(len(terms) / 2)
    for i, term in enumerate(terms):
        data[start + (i >> 1)] |= rounded(15 * term) << ((i & 1) << 2)
    return bytes(data)


def channel(
    plane: list[float], w: int, h: int, nx: int, ny: int
) -> tuple[float, list[float], float]:
    dc, terms, scale = 0.0, [], 0.0
    for cy in range(ny):
        cx = 0
        while cx * ny < nx * (ny - cy):
            f = sum(
                plane[x + y * w]
                * math.cos(math.pi / w * cx * (x + 0.5))
                * math.cos(math.pi / h * cy * (y + 0.5))
                for y in range(h)
                for x in range(w)
            ) / (w * h)
            if cx or cy:
                terms.append(f)
                scale = max(scale, abs(f))
            else:
                dc = f
            cx += 1
    return dc, [0.5 + 0.5 / scale * f for f in terms] if scale else terms, scale


def rounded(value: float) -> int:
    return math.floor(value + 0.5)


@pytest.mark.parametrize("size", [(12, 16), (20, 9), (16, 16), (1, 7), (1, 1)])
@pytest.mark.parametrize("transparent", [False, True])
def test_agrees_with_the_specification(size: tuple[int, int], transparent: bool) -> None:
    # Random pixels: a symmetric picture has terms of 0, whose rounding depends on the last bit.
    pixels = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    if not transparent:
        pixels[..., 3] = 255
    assert encode(pixels) == specified(pixels)


def test_the_hash_is_short_and_contains_colour_and_orientation() -> None:
    data = base64.b64decode(thumbhash(Image.new("RGB", (300, 200), (255, 0, 0))))
    assert len(data) <= 25
    luminance, yellow = (data[0] & 63) / 63, ((data[0] >> 6 | (data[1] & 15) << 2) / 31.5) - 1
    red = (data[1] >> 4 | (data[2] & 3) << 4) / 31.5 - 1
    assert luminance == pytest.approx(1 / 3, abs=0.02)
    assert yellow == pytest.approx(0.5, abs=0.02)
    assert red == pytest.approx(1.0, abs=0.02)
    assert data[4] >> 7 == 1, "landscape"


def test_another_picture_has_another_hash() -> None:
    assert thumbhash(tshirt()) == thumbhash(tshirt())
    assert thumbhash(tshirt()) != thumbhash(dress())


def test_pictures_above_100_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="101x50"):
        encode(np.zeros((50, 101, 4), np.uint8))
