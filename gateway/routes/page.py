"""The page at `/`, and the files that pages load."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from gateway.http.problems import Problem
from gateway.pages.render import CSP, MEDIA_TYPE
from gateway.services import Gateway

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(gateway: Gateway, request: Request) -> Response:
    return _unchanging(request, gateway.pages.text("index.html").encode(), MEDIA_TYPE)


@router.get("/pages/{name:path}")
async def asset(request: Request, name: str) -> Response:
    """Serve a file that pages load. Pages load nothing from other hosts."""
    found = _assets().get(name)
    if found is None:
        raise Problem("not-found")
    return _unchanging(request, *found)


@cache
def _assets() -> dict[str, tuple[bytes, str]]:
    """Return the content and media type of each file, by its path below `gateway/pages`."""
    folder = files("gateway").joinpath("pages")
    shell = {f"shell/{each.name}": each for each in folder.joinpath("shell").iterdir()}
    return {
        name: (each.read_bytes(), media_type)
        for name, each in ({each.name: each for each in folder.iterdir()} | shell).items()
        if (media_type := TYPES.get(f".{name.rpartition('.')[2]}"))
    }


def _unchanging(request: Request, content: bytes, media_type: str) -> Response:
    headers = {
        "Content-Security-Policy": CSP,
        "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:16]}"',
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
