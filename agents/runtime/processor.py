"""The `Processor` protocol: the runtime runs stages, tracking and intake through it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from streams.broker.records import Record
from streams.events.codec import Encoded
from streams.events.models import Event


class Publisher(Protocol):
    """Publishes events and records; implemented by `streams.broker.producer.EventProducer`."""

    async def publish_all(self, events: Sequence[tuple[Event, str | None]]) -> None: ...

    async def send(self, records: Sequence[Encoded]) -> None: ...


class Processor(Protocol):
    """Processes the records of ``topics``, up to ``batch`` at a time.

    The consumer group is ``lookstream.<name>``. ``process`` returns when the stores and the broker
    have everything that the batch produced. For an error, the processor tries again, or publishes
    `stage-failed` or a dead letter; `agents.workers.barrier` handles an exception from ``process``.
    ``waiting_for`` describes the unavailable dependency, if any. ``last_progress`` is the time of
    the last finished part of a batch, in seconds of a monotonic clock. ``step_limit_s`` is the
    longest time in seconds that one part may take.
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
    """A `Processor` for a stage whose networks are loading, so that the worker can already join the
    consumer group.

    `process` waits until the first `switch_to`, then passes records to the processor of the last
    `switch_to`. A reload calls `switch_to` again.
    """

    def __init__(self, name: str, topics: tuple[str, ...], batch: int) -> None:
        self.name = name
        self.topics = topics
        self.batch = batch
        self._next: Processor | None = None
        self._current: Processor | None = None
        self._loaded = asyncio.Event()

    def switch_to(self, processor: Processor) -> None:
        """Use ``processor`` from the next batch on; the current batch keeps its processor."""
        self._next = processor
        self.batch = processor.batch
        self._loaded.set()

    async def loaded(self) -> None:
        """Return when `switch_to` was called."""
        await self._loaded.wait()

    @property
    def _processor(self) -> Processor | None:
        """The processor of the current batch; between batches, the next processor."""
        return self._current or self._next

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
        await self.loaded()
        assert self._next is not None  # noqa: S101 - set before the event
        self._current = self._next
        try:
            await self._current.process(records)
        finally:
            self._current = None
