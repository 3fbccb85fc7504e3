"""Pages made of the templates in `gateway/pages/templates`.

Everything that goes into a template is escaped, and no page has a script or a style in its text,
so that the policy can forbid both: what a caption or a file name says stays text.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src * blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
MEDIA_TYPE = "text/html; charset=utf-8"


class Pages:
    """Renders templates by name."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("gateway", "pages/templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["percent"] = _percent
        self._environment.filters["json"] = _json

    def text(self, name: str, **values: Any) -> str:
        """Return the template ``name`` filled in."""
        return self._environment.get_template(name).render(values)

    def answer(self, name: str, *, status: int = 200, **values: Any) -> Response:
        """Answer with a page of this moment."""
        headers = {"Content-Security-Policy": CSP, "Cache-Control": "no-store"}
        return Response(
            self.text(name, **values), status_code=status, media_type=MEDIA_TYPE, headers=headers
        )


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f}%"


def _json(value: object) -> str:
    # As text: the filter of jinja2's own escapes it for a script.
    return json.dumps(value, ensure_ascii=False)
