"""Render HTML pages from the templates in `gateway/pages/templates`."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from fastapi import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src * blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The links of the header, on every page: path and name.
NAVIGATION = (("/", "Upload"), ("/gallery", "Gallery"))
MEDIA_TYPE = "text/html; charset=utf-8"


class Pages:
    """Renders templates by name."""

    def __init__(self) -> None:
        self.environment = Environment(
            loader=PackageLoader("gateway", "pages/templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.globals["navigation"] = NAVIGATION
        self.environment.filters["percent"] = _percent
        self.environment.filters["json"] = _json

    def text(self, name: str, **values: Any) -> str:
        """Return the rendered template ``name``."""
        return self.environment.get_template(name).render(values)

    def answer(self, name: str, *, status: int = 200, **values: Any) -> Response:
        """Return the rendered template as a response that must not be cached."""
        headers = {"Content-Security-Policy": CSP, "Cache-Control": "no-store"}
        return Response(
            self.text(name, **values), status_code=status, media_type=MEDIA_TYPE, headers=headers
        )


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f}%"


def _json(value: object) -> str:
    # Jinja's own `tojson` escapes for scripts, but this text goes into HTML.
    return json.dumps(value, ensure_ascii=False)


HEAD_BYTES = 3


def average_colour(thumbhash: str) -> str | None:
    """Return a thumbhash's average colour as ``#rrggbb``, or None for an invalid thumbhash.

    Source: https://evanw.github.io/thumbhash/. The first 18 bits are the average colour: luminance,
    yellow-blue and red-green. ``thumbhash`` is in base64.
    """
    try:
        content = base64.b64decode(thumbhash, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(content) < HEAD_BYTES:
        return None
    head = int.from_bytes(content[:HEAD_BYTES], "little")
    luminance = (head & 63) / 63
    yellow_blue = (head >> 6 & 63) / 31.5 - 1
    red_green = (head >> 12 & 63) / 31.5 - 1
    blue = luminance - 2 / 3 * yellow_blue
    red = (3 * luminance - blue + red_green) / 2
    return "#" + "".join(f"{_byte(part):02x}" for part in (red, red - red_green, blue))


def _byte(part: float) -> int:
    return round(255 * min(1.0, max(0.0, part)))
