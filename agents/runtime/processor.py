"""What the runtime runs: a reader of topics that finishes one batch at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import structlog

from agents.runtime.retry import RetryPolicy, is_unavailable
from streams.broker.records import Record
from streams.errors import EventTooLarge
from streams.events.codec import Encoded
from streams.events.models import Event

T = TypeVar("T")
log = structlog.get_logger()


class Publisher(Protocol):
    """What processors need of the producer; see `streams.broker.producer.EventProducer`."""

    async def publish_all(self, events: Sequence[tuple[Event, str | None]]) -> None: ...

    async def send(self, records: Sequence[Encoded]) -> None: ...


class Processor(Protocol):
    """Reads ``topics`` as consumer group ``lookstream.<name>``, ``batch`` records at a time.

    ``process`` returns when every effect of the batch is acknowledged, and never raises: what
    cannot be done is held, failed or dead-lettered. ``holding`` names what it waits for;
    ``progress_seen`` is when a part of a batch was last finished, in seconds of a monotonic clock,
    and ``patience_s`` the longest that one part may take.
    """

    @property
    def name(self) -> str: ...

    @property
    def topics(self) -> tuple[str, ...]: ...

    @property
    def batch(self) -> int: ...

    @property
    def holding(self) -> str | None: ...

    @property
    def patience_s(self) -> float: ...

    @property
    def progress_seen(self) -> float: ...

    async def process(self, records: Sequence[Record]) -> None: ...


class Loading:
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
    def holding(self) -> str | None:
        return self._processor.holding if self._processor else "loading"

    @property
    def patience_s(self) -> float:
        return self._processor.patience_s if self._processor else 0.0

    @property
    def progress_seen(self) -> float:
        return self._processor.progress_seen if self._processor else 0.0

    async def process(self, records: Sequence[Record]) -> None:
        await self._loaded.wait()
        assert self._next is not None  # noqa: S101 - set before the event
        self._working = self._next
        try:
            await self._working.process(records)
        finally:
            self._working = None


class Holder:
    """Repeats a call for as long as what it depends on is out of reach."""

    def __init__(self, name: str, policy: RetryPolicy) -> None:
        self.name = name
        self.holding: str | None = None
        self._policy = policy

    async def until_back(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what ``call`` returns; retry, with capped and jittered delays, while unavailable.

        Any error but "out of reach" goes through.
        """
        tries = 0
        while True:
            try:
                result = await call()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                tries += 1
                await self.wait(error, tries)
            else:
                self.release()
                return result

    async def wait(self, error: BaseException, tries: int) -> None:
        """Say what is out of reach, and let the backoff pass."""
        self.holding = str(error)
        log.warning("held", action="hold", stage=self.name, tries=tries, reason=str(error))
        await asyncio.sleep(self._policy.hold_s(error, tries))

    def release(self) -> None:
        self.holding = None

    async def bury(self, publisher: Publisher, letter: Encoded) -> None:
        """Publish a dead letter; one that the broker finds too large goes without its value."""
        try:
            await self.until_back(lambda: publisher.send([letter]))
        except EventTooLarge:
            bare = replace(letter, value=None)
            await self.until_back(lambda: publisher.send([bare]))
