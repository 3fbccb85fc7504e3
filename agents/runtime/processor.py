"""What the runtime runs: a reader of topics that finishes one batch at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from streams.broker.records import Record
from streams.events.codec import Encoded
from streams.events.models import Event


class Publisher(Protocol):
    """What processors need of the producer; see `streams.broker.producer.EventProducer`."""

    async def publish_all(self, events: Sequence[tuple[Event, str | None]]) -> None: ...

    async def send(self, records: Sequence[Encoded]) -> None: ...


class Processor(Protocol):
    """Reads ``topics`` as consumer group ``lookstream.<name>``, ``batch`` records at a time.

    ``process`` returns when every effect of the batch is acknowledged, and never raises: what
    cannot be done is held, failed or dead-lettered. ``waiting_for`` names what it waits for;
    ``last_progress`` is when a part of a batch was last finished, in seconds of a monotonic clock,
    and ``step_limit_s`` the longest that one part may take.
    """

    @property
    def name(self) -> str: ...

    @property
    def topics(self) -> tuple[str, ...]: ...

    @property
    def batch(self) -> int: ...

    @property
    def waiting_for(self) -> str | None: ...

    @property
    def step_limit_s(self) -> float: ...

    @property
    def last_progress(self) -> float: ...

    async def process(self, records: Sequence[Record]) -> None: ...


class LoadingProcessor:
    """Stands in for a processor whose networks are still loading, so that its group is joined
    meanwhile; records wait until `become`, which may be called again with another."""

    def __init__(self, name: str, topics: tuple[str, ...], batch: int) -> None:
        self.name = name
        self.topics = topics
        self.batch = batch
        self._next: Processor | None = None
        self._working: Processor | None = None
        self._loaded = asyncio.Event()

    def become(self, processor: Processor) -> None:
        """Go on as ``processor`` from the next batch on; the one in hand ends where it began."""
        self._next = processor
        self.batch = processor.batch
        self._loaded.set()

    @property
    def _processor(self) -> Processor | None:
        """The one whose word counts: that of the batch in hand, where there is one."""
        return self._working or self._next

    @property
    def waiting_for(self) -> str | None:
        return self._processor.waiting_for if self._processor else "loading"

    @property
    def step_limit_s(self) -> float:
        return self._processor.step_limit_s if self._processor else 0.0

    @property
    def last_progress(self) -> float:
        return self._processor.last_progress if self._processor else 0.0

    async def process(self, records: Sequence[Record]) -> None:
        await self._loaded.wait()
        assert self._next is not None  # noqa: S101 - set before the event
        self._working = self._next
        try:
            await self._working.process(records)
        finally:
            self._working = None
