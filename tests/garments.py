"""Garments drawn with Pillow, so that tests need no photos."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

Colour = str | tuple[int, int, int]
Point = tuple[float, float]

_TSHIRT: Sequence[Point] = (
    (0.40, 0.10), (0.44, 0.15), (0.50, 0.17), (0.56, 0.15), (0.60, 0.10),
    (0.70, 0.13), (0.93, 0.32), (0.82, 0.44), (0.71, 0.37),
    (0.72, 0.90), (0.28, 0.90), (0.29, 0.37), (0.18, 0.44), (0.07, 0.32), (0.30, 0.13),
)  # fmt: skip
_TROUSERS: Sequence[Point] = (
    (0.33, 0.06), (0.67, 0.06), (0.70, 0.25), (0.74, 0.95), (0.57, 0.95), (0.50, 0.36),
    (0.43, 0.95), (0.26, 0.95), (0.30, 0.25),
)  # fmt: skip
_DRESS: Sequence[Point] = (
    (0.38, 0.05), (0.43, 0.06), (0.46, 0.13), (0.50, 0.15), (0.54, 0.13), (0.57, 0.06),
    (0.62, 0.05), (0.62, 0.20), (0.65, 0.26), (0.61, 0.42), (0.78, 0.94), (0.22, 0.94),
    (0.39, 0.42), (0.35, 0.26), (0.38, 0.20),
)  # fmt: skip
_TANK_TOP: Sequence[Point] = (
    (0.32, 0.12), (0.38, 0.10), (0.42, 0.19), (0.50, 0.22), (0.58, 0.19), (0.62, 0.10),
    (0.68, 0.12), (0.68, 0.22), (0.71, 0.30), (0.76, 0.33), (0.74, 0.60), (0.76, 0.90),
    (0.24, 0.90), (0.26, 0.60), (0.24, 0.33), (0.29, 0.30), (0.32, 0.22),
)  # fmt: skip
_SKIRT: Sequence[Point] = (
    (0.35, 0.15), (0.65, 0.15), (0.72, 0.30), (0.88, 0.82), (0.12, 0.82), (0.28, 0.30),
)  # fmt: skip
_HAT: Sequence[Point] = (
    (0.25, 0.55), (0.28, 0.38), (0.38, 0.27), (0.50, 0.24), (0.62, 0.27), (0.72, 0.38),
    (0.75, 0.55), (0.94, 0.60), (0.88, 0.68), (0.50, 0.72), (0.12, 0.68), (0.06, 0.60),
)  # fmt: skip
_SHOE: Sequence[Point] = (
    (0.08, 0.38), (0.30, 0.34), (0.45, 0.50), (0.90, 0.58), (0.94, 0.68), (0.08, 0.68),
)  # fmt: skip


def tshirt(
    size: tuple[int, int] = (480, 640),
    colour: Colour = "firebrick",
    background: Colour | Image.Image = "whitesmoke",
) -> Image.Image:
    """Draw a short-sleeved T-shirt laid out, filling most of ``size`` (width, height)."""
    return _drawn(_TSHIRT, size, colour, background)


def trousers(
    size: tuple[int, int] = (480, 640),
    colour: Colour = "navy",
    background: Colour | Image.Image = "whitesmoke",
) -> Image.Image:
    """Draw a pair of trousers."""
    return _drawn(_TROUSERS, size, colour, background)


def dress(
    size: tuple[int, int] = (480, 640),
    colour: Colour = "seagreen",
    background: Colour | Image.Image = "whitesmoke",
) -> Image.Image:
    """Draw a sleeveless dress."""
    return _drawn(_DRESS, size, colour, background)


def tank_top(
    size: tuple[int, int] = (480, 640),
    colour: Colour = "teal",
    background: Colour | Image.Image = "whitesmoke",
) -> Image.Image:
    """Draw a top without sleeves."""
    return _drawn(_TANK_TOP, size, colour, background)


def skirt(
    size: tuple[int, int] = (480, 640),
    colour: Colour = "purple",
    background: Colour | Image.Image = "whitesmoke",
) -> Image.Image:
    """Draw a flared skirt."""
    return _drawn(_SKIRT, size, colour, background)


def hat(
    size: tuple[int, int] = (480, 640),
    colour: Colour = "sienna",
    background: Colour | Image.Image = "whitesmoke",
) -> Image.Image:
    """Draw a hat with a brim."""
    return _drawn(_HAT, size, colour, background)


def shoe(
    size: tuple[int, int] = (480, 640),
    colour: Colour = "black",
    background: Colour | Image.Image = "whitesmoke",
) -> Image.Image:
    """Draw a shoe from the side."""
    return _drawn(_SHOE, size, colour, background)


def textured(
    size: tuple[int, int] = (480, 640), colour: Colour = "burlywood", seed: int = 0
) -> Image.Image:
    """Draw a floor of uneven boards to lay a garment on."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    picture = Image.new("RGB", size, colour)
    picture = Image.blend(picture, noise(size, 24, seed), 0.12)
    draw = ImageDraw.Draw(picture)
    for x in range(0, size[0], max(size[0] // 8, 4)):
        shade = rng.randint(-14, 14)
        base = picture.getpixel((min(x, size[0] - 1), 0))
        assert isinstance(base, tuple)
        red, green, blue = (max(0, min(255, int(c) - 30 + shade)) for c in base[:3])
        draw.line(((x, 0), (x, size[1])), fill=(red, green, blue), width=max(size[0] // 160, 1))
    return picture


def noise(size: tuple[int, int], sigma: float, seed: int = 0) -> Image.Image:
    """Return grey noise around 128. Pillow's `effect_noise` cannot be seeded."""
    values = np.random.default_rng(seed).normal(128, sigma, (size[1], size[0]))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB")


def jpeg(image: Image.Image, **save: Any) -> bytes:
    """Encode ``image`` as JPEG; ``save`` goes to Pillow (quality, exif, icc_profile…)."""
    return encoded(image, "JPEG", **save)


def encoded(image: Image.Image, kind: str, **save: Any) -> bytes:
    """Encode ``image`` in Pillow's format ``kind``."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **save)
    return buffer.getvalue()


def _drawn(
    outline: Sequence[Point],
    size: tuple[int, int],
    colour: Colour,
    background: Colour | Image.Image,
) -> Image.Image:
    if isinstance(background, Image.Image):
        picture = background.convert("RGB").resize(size)
    else:
        picture = Image.new("RGB", size, background)
    scale = 2 if max(size) <= 2000 else 1
    mask = Image.new("L", (size[0] * scale, size[1] * scale))
    points = [(x * mask.width, y * mask.height) for x, y in outline]
    ImageDraw.Draw(mask).polygon(points, fill=255)
    picture.paste(Image.new("RGB", size, colour), mask=mask.resize(size))
    return picture
