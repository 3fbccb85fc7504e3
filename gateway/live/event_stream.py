"""Server-Sent Events (SSE): the event ids, the wire format, and a response with heartbeats.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import anyio
import structlog
from pydantic import Field
from starlette.responses import StreamingResponse
from starlette.types import Send

from gateway.views.models import Failure, Shape
from storage.jobs.store import FINAL, Job, JobStatus
from streams.events.models import JobUpdated

log = structlog.get_logger(__name__)

HEARTBEAT_S = 15.0
# A client that accepts no bytes for this long is treated as disconnected.
STALLED_S = 60.0
RETRY_MS = 2000
KEEP_ALIVE = b": keep-alive\n\n"

_JOB_ID = re.compile(r"(\d{1,10})\.(\d{1,18})", re.ASCII)
_TIME_ID = re.compile(r"\d{1,13}", re.ASCII)


@dataclass(frozen=True, order=True)
class JobEventId:
    """An event id on the stream of one job: one state of the job. Later states are greater."""

    run: int
    revision: int

    def __str__(self) -> str:
        return f"{self.run}.{self.revision}"

    @classmethod
    def parse(cls, text: str) -> JobEventId | None:
        """Parse an event id. Return None for any other text: the stream then starts afresh."""
        found = _JOB_ID.fullmatch(text)
        return cls(int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True)
class TimeEventId:
    """An event id on the stream of many jobs: the gateway's clock in UTC milliseconds."""

    ms: int

    def __str__(self) -> str:
        return str(self.ms)

    @classmethod
    def now(cls) -> TimeEventId:
        return cls(int(datetime.now(UTC).timestamp() * 1000))

    @classmethod
    def parse(cls, text: str) -> TimeEventId | None:
        """Parse an event id. Return None for any other text: the stream then starts afresh."""
        return cls(int(text)) if _TIME_ID.fullmatch(text) else None

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.ms / 1000, UTC)


class JobEvent(Shape):
    """The data of an event ``job``. A stage that has not run yet is not in ``stages``."""

    job_id: str
    status: JobStatus
    run: int = Field(description="number of the run, from 1")
    revision: int = Field(description="grows with every change; ignore an event with a lower one")
    group: str | None
    updated_at: datetime
    stages: dict[str, str]
    error: Failure | None = Field(default=None, exclude_if=lambda error: error is None)

    @classmethod
    def from_update(cls, update: JobUpdated) -> Self:
        """Build the event from a `job-updated` event of the broker."""
        return cls.model_validate(update.model_dump(include=set(cls.model_fields)))

    @classmethod
    def from_job(cls, job: Job) -> Self:
        """Build the event from a job of the job store."""
        return cls.from_update(JobUpdated.of_job(job))

    @property
    def event_id(self) -> JobEventId:
        """The job's state as an event id."""
        return JobEventId(self.run, self.revision)

    @property
    def final(self) -> bool:
        """Whether this is the last event of the job's current run."""
        return self.status in FINAL


def format_preamble(event_id: object | None = None) -> bytes:
    """Return the first lines of a stream: the retry delay, and the current event id.

    With the event id, a client that is disconnected before the first event can resume.
    """
    return f"retry: {RETRY_MS}\n".encode() + (format_id(event_id) if event_id else b"\n")


def format_id(event_id: object) -> bytes:
    """Return an event id without data: the client stores the id and dispatches no event."""
    return f"id: {event_id}\n\n".encode()


def format_event(name: str, data: str, event_id: object) -> bytes:
    """Return one event; ``data`` is one line."""
    return f"event: {name}\nid: {event_id}\ndata: {data}\n\n".encode()


class EventStream(StreamingResponse):
    """Sends each frame, and a comment after ``heartbeat_s`` without a frame.

    The response ends after the last frame. It ends early when the client disconnects, or when the
    client accepts no bytes for ``stalled_s`` seconds. Each end closes the generator of frames.
    Starlette detects the disconnect.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        *,
        heartbeat_s: float = HEARTBEAT_S,
        stalled_s: float = STALLED_S,
    ) -> None:
        # Proxies must neither cache nor buffer the stream.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(frames, headers=headers)
        self._frames = frames
        self._heartbeat_s = heartbeat_s
        self._stalled_s = stalled_s

    async def stream_response(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        upcoming: asyncio.Task[bytes | None] | None = None
        try:
            while True:
                upcoming = upcoming or asyncio.create_task(self._next())
                await asyncio.wait({upcoming}, timeout=self._heartbeat_s)
                if not upcoming.done():
                    await self._send(send, KEEP_ALIVE)
                    continue
                frame, upcoming = upcoming.result(), None
                if frame is None:
                    break
                await self._send(send, frame)
            await self._send(send, b"", more=False)
        except TimeoutError:
            log.info("event_stream_stalled")
        finally:
            with anyio.CancelScope(shield=True):
                await self._close(upcoming)

    async def _next(self) -> bytes | None:
        return await anext(self._frames, None)

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(self._stalled_s):
            await send({"type": "http.response.body", "body": body, "more_body": more})

    async def _close(self, upcoming: asyncio.Task[bytes | None] | None) -> None:
        if upcoming is not None:
            while not upcoming.done():  # some libraries swallow the first cancellation
                upcoming.cancel()
                await asyncio.wait({upcoming}, timeout=1.0)
        await self._frames.aclose()
