"""The page at `/` and what pages load, served from the package's own files."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from gateway.pages.render import CSP, MEDIA_TYPE, Pages

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def router(pages: Pages) -> APIRouter:
    """Return the routes of the page and of what pages load; nothing comes from elsewhere."""
    routes = APIRouter(include_in_schema=False)
    _add(routes, "/", pages.text("index.html").encode(), MEDIA_TYPE)
    for asset in files("gateway").joinpath("pages").iterdir():
        if media_type := TYPES.get(f".{asset.name.rpartition('.')[2]}"):
            _add(routes, f"/pages/{asset.name}", asset.read_bytes(), media_type)
    return routes


def _add(routes: APIRouter, path: str, content: bytes, media_type: str) -> None:
    routes.add_api_route(path, _unchanging(content, media_type), methods=["GET"], name=path)


def _unchanging(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
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
