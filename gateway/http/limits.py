"""The limits of one request, and the middleware that enforces the body limit."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.problem_responses import render
from gateway.http.problems import Problem

# Bytes of a JSON body besides one photo as base64: URLs, stages.
JSON_MARGIN = 1_000_000


@dataclass(frozen=True)
class Limits:
    """``max_bytes`` limits one photo, ``max_request_bytes`` the body of a request, ``max_photos``
    the photos of a request. ``predict_s`` is the longest wait of `POST /v1/predict` in seconds."""

    max_bytes: int = 50_000_000
    max_request_bytes: int = 1_000_000_000
    max_photos: int = 2_000
    predict_s: float = 30.0

    def body(self, content_type: str) -> int:
        """Return the largest size of a body of this type, in bytes."""
        if content_type.startswith("multipart/"):
            return self.max_request_bytes
        return min(self.max_request_bytes, self.max_bytes * 4 // 3 + JSON_MARGIN)


class BodyLimit:
    """Refuses a body that is too large: by its Content-Length, or while it arrives.

    It counts received bytes, so chunked bodies and false lengths are limited too.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        limit = self._limits.body(headers.get(b"content-type", b"").decode("latin-1").lower())
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > limit:
            await render(_too_large(limit), scope["path"])(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit), send)


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def count() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit)
        return message

    return count


def _too_large(limit: int) -> Problem:
    return Problem(
        "too-large",
        f"the body has more than {limit} bytes",
        headers={"Connection": "close"},
    )
