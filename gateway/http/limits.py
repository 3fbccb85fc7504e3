"""The limits of requests, and the middleware that enforces the limits of bodies."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.problem_responses import render
from gateway.http.problems import Problem

SUBMISSIONS = "/v1/jobs"
ARTIFACTS = "/v1/artifacts/"
LARGEST_JSON = 1_000_000
# Bytes of a JSON submission besides one photo as base64: URLs, options.
JSON_MARGIN = 10_000_000
FREE = 64_000
"""Bytes that each request may keep in memory beside the shared limit: most bodies are smaller."""


@dataclass(frozen=True)
class Limits:
    """``max_bytes`` limits one photo, ``max_request_bytes`` the body of a request, ``max_photos``
    the photos of a request, ``memory`` the bytes of all bodies in memory. ``predict_s`` is the
    longest wait of `POST /v1/predict` in seconds."""

    max_bytes: int = 50_000_000
    max_request_bytes: int = 1_000_000_000
    max_photos: int = 2_000
    memory: int = 64_000_000
    predict_s: float = 30.0

    def body(self, path: str, content_type: str) -> int:
        """Return the largest size of a body of this type, in bytes."""
        if path == SUBMISSIONS and content_type.startswith("multipart/"):
            return self.max_request_bytes
        if path == SUBMISSIONS or path.startswith(ARTIFACTS):
            return min(self.max_request_bytes, self.max_bytes * 4 // 3 + JSON_MARGIN)
        return LARGEST_JSON


class Memory:
    """The memory for bodies. All requests of a gateway share ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self.left = size

    def share(self) -> MemoryShare:
        """Return a context manager with the bytes of one request. Its end returns the bytes."""
        return MemoryShare(self)


class MemoryShare:
    """The bytes that one request has taken."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._free = FREE
        self._taken = 0

    def __enter__(self) -> MemoryShare:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._memory.left += self._taken
        self._taken = 0

    def take(self, count: int) -> None:
        """Take ``count`` bytes, from the `FREE` bytes first. Raises `Problem` (`busy`) if not
        enough bytes are left."""
        free = min(count, self._free)
        self._free -= free
        if not self.may_take(count - free):
            raise Problem("busy", "too many large requests at the same time; try again later")

    def may_take(self, count: int) -> bool:
        """Take ``count`` shared bytes and return True, or return False if fewer are left."""
        if count > self._memory.left:
            return False
        self._memory.left -= count
        self._taken += count
        return True


class BodyLimit:
    """Refuses a body that is too large: by its Content-Length, or while it arrives.

    The middleware counts received bytes, so chunked bodies and false lengths are limited too. It
    takes the bytes of bodies that are read whole from ``memory``. The routes that stream a body
    (submissions and artifacts) take their own bytes from ``memory``.
    """

    def __init__(self, app: ASGIApp, limits: Limits, memory: Memory) -> None:
        self._app = app
        self._limits = limits
        self._memory = memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, path = dict(scope["headers"]), scope["path"]
        kind = headers.get(b"content-type", b"").decode("latin-1").lower()
        limit = self._limits.body(path, kind)
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > limit:
            await render(_too_large(limit), path)(scope, receive, send)
            return
        with self._memory.share() as share:
            streamed = path == SUBMISSIONS or path.startswith(ARTIFACTS)
            counted = _counted(receive, limit, None if streamed else share)
            await self._app(scope, counted, send)


def _counted(receive: Receive, limit: int, share: MemoryShare | None) -> Receive:
    seen = 0

    async def count() -> Message:
        nonlocal seen
        message = await receive()
        length = len(message.get("body", b""))
        seen += length
        if seen > limit:
            raise _too_large(limit)
        if share:
            share.take(length)
        return message

    return count


def _too_large(limit: int) -> Problem:
    return Problem(
        "too-large",
        f"the body has more than {limit} bytes",
        headers={"Connection": "close"},
    )
