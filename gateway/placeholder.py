"""The colour to show where a thumbnail will be, read from its thumbhash.

Source: https://evanw.github.io/thumbhash/, whose first 18 bits are the picture's average as
luminance, yellow-blue and red-green.
"""

from __future__ import annotations

import base64
import binascii

HEAD = 3


def average_colour(thumbhash: str) -> str | None:
    """Return ``#rrggbb``, or None for what is no thumbhash in base64."""
    try:
        content = base64.b64decode(thumbhash, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(content) < HEAD:
        return None
    head = int.from_bytes(content[:HEAD], "little")
    luminance = (head & 63) / 63
    yellow_blue = (head >> 6 & 63) / 31.5 - 1
    red_green = (head >> 12 & 63) / 31.5 - 1
    blue = luminance - 2 / 3 * yellow_blue
    red = (3 * luminance - blue + red_green) / 2
    return "#" + "".join(f"{_byte(part):02x}" for part in (red, red - red_green, blue))


def _byte(part: float) -> int:
    return round(255 * min(1.0, max(0.0, part)))
