"""How much one request may ask for, and the middleware that stops reading beyond it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.problem_responses import render
from gateway.http.problems import Problem

# What a JSON body may have besides one photo as base64: URLs, stages.
JSON_MARGIN = 1_000_000


@dataclass(frozen=True)
class Limits:
    """``max_bytes`` is for one photo, ``max_request_bytes`` for one request's whole body;
    ``predict_s`` is how long `POST /v1/predict` waits."""

    max_bytes: int = 50_000_000
    max_request_bytes: int = 1_000_000_000
    max_photos: int = 2_000
    predict_s: float = 30.0

    def body(self, content_type: str) -> int:
        """Return the most bytes that a body of this type may have."""
        if content_type.startswith("multipart/"):
            return self.max_request_bytes
        return min(self.max_request_bytes, self.max_bytes * 4 // 3 + JSON_MARGIN)


class BodyLimit:
    """Refuse a body that is too large: at once when its length is announced, else while it comes.

    Counts what really arrives, so that chunked or lying requests are stopped all the same.
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
        f"the body has more than the {limit} bytes allowed",
        headers={"Connection": "close"},
    )
