"""Lines of text on a picture, legible whatever the picture shows."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_INK = (255, 255, 255, 255)
_PANEL = (0, 0, 0, 168)
_LARGEST, _SMALLEST = 40, 12


def draw_lines(image: Image.Image, lines: Sequence[str]) -> Image.Image:
    """Return ``image`` as RGB with ``lines`` on a dark panel in its top left corner.

    The letters are as large as 40 px where all lines fit, and never smaller than 12 px; what
    does not fit even so is left out from the end.
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
