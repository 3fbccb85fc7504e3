"""Draw text on pictures, and a person that BlazePose recognises (for warm-up and tests)."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_INK = (255, 255, 255, 255)
_PANEL = (0, 0, 0, 168)
_LARGEST, _SMALLEST = 40, 12


def draw_lines(image: Image.Image, lines: Sequence[str]) -> Image.Image:
    """Return ``image`` as RGB with ``lines`` on a dark panel in its top left corner.

    The font size is the largest from 40 px down to 12 px at which all lines fit. If the lines do
    not fit at 12 px, the last ones are left out.
    """
    canvas = image.convert("RGB")
    if not lines:
        return canvas
    size = _LARGEST
    while size > _SMALLEST and not _fits(lines, size, canvas.size):
        size -= 1
    shown = list(lines)
    while len(shown) > 1 and not _fits(shown, size, canvas.size):
        shown.pop()
    font = ImageFont.load_default(size)
    width, height = _extent(shown, size)
    margin = size // 2
    panel = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(panel)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), radius=size // 3, fill=_PANEL)
    for row, line in enumerate(shown):
        draw.text((margin, margin + row * _pitch(size)), line, font=font, fill=_INK)
    canvas.paste(panel, (margin, margin), mask=panel)
    return canvas


def _pitch(size: int) -> int:
    return round(size * 1.3)


def _extent(lines: Sequence[str], size: int) -> tuple[int, int]:
    font = ImageFont.load_default(size)
    widest = max(font.getlength(line) for line in lines)
    margin = size // 2
    return round(widest) + 2 * margin, len(lines) * _pitch(size) + 2 * margin


def _fits(lines: Sequence[str], size: int, room: tuple[int, int]) -> bool:
    width, height = _extent(lines, size)
    margin = size // 2
    return width + 2 * margin <= room[0] and height + 2 * margin <= room[1]


Colour = str | tuple[int, int, int]
_SKIN, _HAIR = (224, 172, 140), (60, 40, 20)


def draw_figure(
    shirt: Colour = (40, 60, 140), trousers: Colour = (50, 50, 50), background: Colour = "white"
) -> Image.Image:
    """Return a 256 × 320 picture of a person standing, seen from the front, head to ankles."""
    image = Image.new("RGB", (256, 320), background)
    draw = ImageDraw.Draw(image)
    draw.rectangle((118, 60, 138, 90), fill=_SKIN)
    body = [(96, 84), (160, 84), (176, 100), (168, 190), (88, 190), (80, 100)]
    draw.polygon(body, fill=shirt)
    for side in (-1, 1):
        arm = [(128 + side * 42, 96), (128 + side * 58, 150), (128 + side * 56, 205)]
        draw.line(arm, fill=shirt, width=18)
        draw.ellipse((119 + side * 56, 200, 137 + side * 56, 222), fill=_SKIN)
        leg = [(128 + side * 20, 185), (128 + side * 22, 250), (128 + side * 22, 305)]
        draw.line(leg, fill=trousers, width=30)
    draw.ellipse((104, 14, 152, 74), fill=_SKIN)
    draw.chord((102, 10, 154, 60), 180, 360, fill=_HAIR)
    for side in (-1, 1):
        eye = 128 + side * 11
        draw.ellipse((eye - 5, 38, eye + 5, 44), fill="white")
        draw.ellipse((eye - 2, 38, eye + 2, 44), fill="black")
        draw.line((eye - 6, 33, eye + 6, 33), fill=_HAIR, width=2)
    draw.line((128, 44, 126, 52, 131, 52), fill=(180, 120, 90))
    draw.line((118, 61, 138, 61), fill=(170, 60, 60), width=3)
    return image
