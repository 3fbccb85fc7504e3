"""The page at `/`, served from the package's own files."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter, Request, Response

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src * blob: data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
JAVASCRIPT = "text/javascript; charset=utf-8"
ASSETS = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/pages/page.css": ("page.css", "text/css; charset=utf-8"),
    "/pages/page.js": ("page.js", JAVASCRIPT),
    "/pages/row.js": ("row.js", JAVASCRIPT),
    "/pages/dom.js": ("dom.js", JAVASCRIPT),
    "/pages/api.js": ("api.js", JAVASCRIPT),
    "/pages/icon.svg": ("icon.svg", "image/svg+xml"),
}


def router() -> APIRouter:
    """Return the routes of the page and of what it loads; nothing comes from elsewhere."""
    routes = APIRouter(include_in_schema=False)
    for path, (name, media_type) in ASSETS.items():
        routes.add_api_route(path, _asset(name, media_type), methods=["GET"], name=name)
    return routes


def _asset(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("gateway").joinpath("pages", name).read_bytes()
    headers = {
        "Content-Security-Policy": CSP,
        "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:16]}"',
    }

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return serve
