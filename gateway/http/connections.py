"""Limits of one connection: the size of the head, the time for head and body, and the number of
connections.

uvicorn's parser has none of these limits. ASGI middleware is too late: it runs after a complete
head, and it never sees a connection that sends nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.http.problems import MEDIA_TYPE, PROBLEMS, Problem

log = structlog.get_logger(__name__)

SLICE = 16 * 1024
"""Bytes of a head that are parsed at once, so that a head exceeds its limit by at most this."""
LATE_BYTES = 16_000_000
"""Bytes of a body that are still read after the answer: many clients read the answer only after
they have sent the whole body."""
HEAD, BODY, BETWEEN = "head", "body", "between requests"
CHECKS = 20
"""Number of checks of a connection's time within the shorter of its time limits."""


@dataclass(frozen=True)
class ConnectionLimits:
    """``head_s`` limits the seconds from the connection, or from the first byte of a later request,
    to the end of the head. A body is expected at ``body_rate`` bytes per second, and may be at most
    ``body_s`` seconds late. ``head_bytes`` limits the size of the request line and the headers,
    ``connections`` the number of open connections."""

    connections: int = 1_000
    head_bytes: int = 64_000
    head_s: float = 30.0
    body_s: float = 60.0
    body_rate: float = 2_000.0


def protocol(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """Return the value of uvicorn's setting ``http``: a protocol with these limits."""
    return cast(type[asyncio.Protocol], partial(LimitedProtocol, limits))


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits. A connection beyond a limit gets a problem document if it has
    no answer yet, and is closed."""

    def __init__(self, limits: ConnectionLimits, **uvicorn_arguments: Any) -> None:
        super().__init__(**uvicorn_arguments)
        self._limits = limits
        self._refusal = Problem("bad-request", "this is not an HTTP request")
        self._state = HEAD
        self._head_bytes = 0  # names and values, trailers included
        self._unparsed = 0  # bytes since the last part that the parser has completed
        self._progress = False
        self._late = 0
        self._since = self.loop.time()
        self._patience = limits.head_s
        self._period = min(limits.head_s, limits.body_s) / CHECKS
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        if len(self.connections) > self._limits.connections and not self._close_an_idle_one():
            self._refuse(Problem("busy", "the gateway has too many connections; try again later"))
            return
        self._timer = self.loop.call_later(self._period, self._check_time)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def _close_an_idle_one(self) -> bool:
        """Close the connection that has been idle for the longest time; return False if none is
        idle. Otherwise idle connections would keep new clients out."""
        idle = [
            other
            for other in self.connections
            if isinstance(other, LimitedProtocol) and other is not self and other.idle
        ]
        if idle:
            min(idle, key=lambda other: other._since).transport.abort()
        return bool(idle)

    @property
    def idle(self) -> bool:
        """Whether the connection has neither a body in transit nor a pending answer."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self._state != BODY and not self.transport.is_closing()

    def _enter(self, state: str, patience_s: float = 0.0) -> None:
        self._state, self._patience, self._progress = state, patience_s, True
        self._since = self.loop.time()

    def _check_time(self) -> None:
        if self.transport.is_closing():
            return
        self._timer = self.loop.call_later(self._period, self._check_time)
        if self._state == BETWEEN or self.flow.read_paused:
            return
        self._patience -= self._period
        if self._patience <= 0:
            self._refuse(Problem("request-timeout", f"the {self._state} arrived too slowly"))

    def data_received(self, data: bytes) -> None:
        if self._state == BETWEEN:
            self._enter(HEAD, self._limits.head_s)
        fed = 0
        while fed < len(data) and not self.transport.is_closing():
            part = data[fed:] if self._state == BODY else data[fed : fed + SLICE]
            fed += len(part)
            self._progress = False
            super().data_received(part)
            self._unparsed = 0 if self._progress else self._unparsed + len(part)
            if self._unparsed > self._limits.head_bytes:
                self._refuse(self._too_large())

    # The parser calls these methods. After an exception, uvicorn calls `send_400_response`.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        if self._state == BETWEEN:
            self._enter(HEAD, self._limits.head_s)

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._late = 0
        self._enter(BODY, self._limits.body_s)

    def on_body(self, body: bytes) -> None:
        self._progress = True
        gained = len(body) / self._limits.body_rate
        self._patience = min(self._limits.body_s, self._patience + gained)
        if self.cycle.response_complete:
            self._late += len(body)
            if self._late > LATE_BYTES:
                self.transport.abort()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._enter(BETWEEN)
        super().on_message_complete()

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > self._limits.head_bytes:
            self._refusal = self._too_large()
            raise self._refusal

    def _too_large(self) -> Problem:
        return Problem(
            "head-too-large",
            f"the request line and the headers may have {self._limits.head_bytes} bytes",
        )

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal)

    def _refuse(self, problem: Problem) -> None:
        """Answer with ``problem`` unless an answer has begun, and close the connection."""
        log.info("connection_refused", code=problem.code)
        pending = self.cycle is not None and not self.cycle.response_complete
        if self.idle or (pending and not self.cycle.response_started):
            self.transport.write(_answer(problem))
        if pending:  # the application must not write to a closed connection
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def _answer(problem: Problem) -> bytes:
    body = problem.document("").model_dump_json().encode()
    reason = PROBLEMS[problem.code].title
    headers = {
        **problem.headers,
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Connection": "close",
    }
    lines = [
        f"HTTP/1.1 {problem.status} {reason}",
        *(f"{name}: {headers[name]}" for name in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
