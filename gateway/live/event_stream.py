"""Server-Sent Events over HTTP: the wire format, and a response that notices who is gone.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Self

import anyio
import structlog
from pydantic import Field
from starlette.responses import StreamingResponse
from starlette.types import Send

from gateway.live.event_ids import JobMark
from gateway.views.models import Failure, Shape
from storage.jobs.store import FINAL, Job, JobStatus
from streams.events.models import JobUpdated


# A job's state as listeners are told it: short, and the same from the broker and the store.
class JobEvent(Shape):
    """The data of an event ``job``. A stage that has not run yet is not in ``stages``."""

    job_id: str
    status: JobStatus
    run: int = Field(description="how often it has been processed, from 1")
    revision: int = Field(description="grows with every change; a lower one is older news")
    group: str | None
    updated_at: datetime
    stages: dict[str, str]
    error: Failure | None = Field(default=None, exclude_if=lambda error: error is None)

    @classmethod
    def heard(cls, update: JobUpdated) -> Self:
        """Make one of what the broker says."""
        told = update.model_dump(include=set(cls.model_fields))
        return cls.model_validate(told)

    @classmethod
    def read(cls, job: Job) -> Self:
        """Make one of what the store says."""
        return cls(
            job_id=job.job_id,
            status=job.status,
            run=job.run,
            revision=job.revision,
            group=job.group,
            updated_at=job.updated_at,
            stages={name: state.status for name, state in job.stages.items()},
            error=Failure.model_validate(job.error, from_attributes=True) if job.error else None,
        )

    @property
    def mark(self) -> JobMark:
        """Which state of the job this is."""
        return JobMark(self.run, self.revision)

    @property
    def final(self) -> bool:
        """Nothing comes after it, unless the job is run again."""
        return self.status in FINAL


log = structlog.get_logger(__name__)

HEARTBEAT_S = 15.0
# A listener that takes nothing for so long is not there any more.
STALLED_S = 60.0
RETRY_MS = 2000
KEEP_ALIVE = b": keep-alive\n\n"


def opening(event_id: object | None = None) -> bytes:
    """Return a stream's first lines. The id is there before anything has happened, so that a
    listener that is cut then knows where to go on."""
    return f"retry: {RETRY_MS}\n".encode() + (position(event_id) if event_id else b"\n")


def position(event_id: object) -> bytes:
    """Return an id without an event: the listener remembers it, and is told nothing."""
    return f"id: {event_id}\n\n".encode()


def event(name: str, data: str, event_id: object) -> bytes:
    """Return one event; ``data`` is one line."""
    return f"event: {name}\nid: {event_id}\ndata: {data}\n\n".encode()


class EventStream(StreamingResponse):
    """Sends frames as they come, and a comment when none has come for a while.

    Ends when the frames do, when the listener is gone, and when it takes nothing for a minute;
    the frames' generator is closed in each case. Starlette watches for the disconnect.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        *,
        heartbeat_s: float = HEARTBEAT_S,
        stalled_s: float = STALLED_S,
    ) -> None:
        # Between us and the listener nobody may keep it, or hold it back to fill a buffer.
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
            log.info("listener_stalled")
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
            while not upcoming.done():  # not every library lets itself be cancelled the first time
                upcoming.cancel()
                await asyncio.wait({upcoming}, timeout=1.0)
        await self._frames.aclose()
