"""Events that could not be published while Kafka was unavailable."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import Context

import structlog

from gateway.deps import Publisher
from streams.errors import BrokerUnavailable, EventTooLarge
from streams.events.models import Event

log = structlog.get_logger(__name__)

LARGEST = 32_000_000
"""Bytes of all waiting events. The sweeper publishes what does not fit."""
AT_ONCE = 200
PAUSE_S = 0.5

Traced = tuple[Event, str | None]


class Backlog:
    """Publishes events, in order, as soon as Kafka is available again.

    The events are only in memory. If the process ends before, the sweeper publishes them, because
    their jobs are recorded.
    """

    def __init__(self, publisher: Publisher, largest: int = LARGEST) -> None:
        self._publisher = publisher
        self._largest = largest
        self._waiting: deque[tuple[Traced, int]] = deque()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, events: Sequence[Traced]) -> None:
        """Keep events for later. Call it on the event loop."""
        for event, traceparent in events:
            size = len(event.model_dump_json())
            if self._bytes + size > self._largest:
                log.warning("backlog_full", events=len(self))
                break
            self._bytes += size
            self._waiting.append(((event, traceparent), size))
        if self._task is None or self._task.done():
            # An empty context, so that the log lines do not belong to the present request.
            self._task = asyncio.create_task(self._publish(), context=Context())

    async def close(self) -> None:
        """Stop publishing."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _publish(self) -> None:
        published = 0
        while self._waiting:
            count = min(AT_ONCE, len(self))
            try:
                await self._publisher.publish_all([self._waiting[each][0] for each in range(count)])
            except BrokerUnavailable:
                await asyncio.sleep(PAUSE_S)
                continue
            except EventTooLarge:
                count = await self._publish_one()
            except Exception:
                log.exception("backlog_not_published")
                await asyncio.sleep(PAUSE_S)
                continue
            published += count
            for _ in range(count):
                self._bytes -= self._waiting.popleft()[1]
        log.info("backlog_published", events=published)

    async def _publish_one(self) -> int:
        """Publish the first event, or give up on it if it is too large. Return the number of events
        that need no further try."""
        try:
            await self._publisher.publish_all([self._waiting[0][0]])
        except BrokerUnavailable:
            return 0
        except EventTooLarge:
            event = self._waiting[0][0][0]
            log.warning("event_too_large", topic=event.topic, job_id=event.job_id)
        return 1
