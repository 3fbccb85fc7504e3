"""A drawn person whom BlazePose takes for one: what networks are warmed up and tested with."""

from __future__ import annotations

from PIL import Image, ImageDraw

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
