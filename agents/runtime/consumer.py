"""Run each processor as a Faust app of its own.

Only this module and `agents.runtime.faust_app` use Faust.

What Faust gets wrong and these modules answer, each pinned by a test in
``tests/integration/test_faust_traps.py``: an exception that escapes an agent commits past its
event; so does an acknowledgement out of order; an unacknowledged event stops a clean shutdown for
ever; a rebalance leaves events of the time before in the buffers.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.runtime.faust_app import Offsets, make_app
from agents.runtime.processor import Processor
from agents.runtime.watchdog import ConsumerStatus
from streams.broker.connection import BrokerUrl
from streams.broker.records import Record

GATHER_S = 0.003
ASK_S = 10.0
INBOX = 512
"""Events between Faust and us: as many as the largest batch that can be set."""


class ProcessorConsumer:
    """Takes batches for one processor and acknowledges each, whole and in order, when it is done.

    Events pass from Faust's agent through a bounded inbox, and offsets are committed from our own
    count of what is done: nothing that Faust cancels, skips or drops is ever acknowledged by it.
    """

    def __init__(
        self, processor: Processor, broker: BrokerUrl, *, prefix: str = "lookstream"
    ) -> None:
        self.processor = processor
        self._done: Offsets = {}
        self.app = make_app(processor, broker, self._done, prefix)
        self._inbox: asyncio.Queue[tuple[int, Any] | None] = asyncio.Queue(INBOX)
        self._epoch = 0
        self._draining = False
        self._in_hand = 0
        self._progress_seen = self._assigned_seen = time.monotonic()
        self._work: asyncio.Task[None] | None = None
        self._embedded = broker.embedded
        self.on_record: Callable[[], None] = lambda: None
        self.on_batch: Callable[[str, float], None] = lambda _name, _took_s: None
        topic = self.app.topic(*processor.topics, key_serializer="raw", value_serializer="raw")
        self.app.agent(topic, name=f"{processor.name}.reader", concurrency=1)(self._read)
        self.app.on_partitions_revoked.connect(self._forget)

    # -- from Faust ------------------------------------------------------------------------

    async def _read(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self.on_record()
            await self._inbox.put((self._epoch, event))

    async def _forget(self, *_: Any, **__: Any) -> None:
        """After a rebalance everything in the buffers comes again: drop it, never ack it."""
        self._epoch += 1
        self._done.clear()
        while not self._inbox.empty():
            self._inbox.get_nowait()
        if self._draining:
            self._inbox.put_nowait(None)

    # -- the loop --------------------------------------------------------------------------

    async def _run(self) -> None:
        while batch := await self._gather():
            epoch, events = batch[0][0], [event for _, event in batch]
            self._in_hand = len(events)
            began = time.monotonic()
            await self.processor.process([record_of(event.message) for event in events])
            self._in_hand = 0
            if epoch == self._epoch:
                self._acknowledge(events)
            self._progress_seen = time.monotonic()
            self.on_batch(self.processor.name, self._progress_seen - began)
            if self._draining:
                return

    async def _gather(self) -> list[tuple[int, Any]]:
        """Return what has come, or comes within a few ms; empty when draining."""
        batch: list[tuple[int, Any]] = []
        waited = False
        while len(batch) < self.processor.batch:
            if self._inbox.empty() and batch:
                if waited:
                    break
                await asyncio.sleep(GATHER_S)
                waited = True
                continue
            item = await self._inbox.get()
            if item is None or self._draining:
                return []
            if item[0] == self._epoch:
                batch.append(item)
        return [item for item in batch if item[0] == self._epoch] or await self._gather()

    def _acknowledge(self, events: Sequence[Any]) -> None:
        for event in events:
            self._done[event.message.tp] = event.message.offset + 1

    # -- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join the group and begin; returns when the first partitions are assigned."""
        self._work = asyncio.create_task(self._run(), name=f"{self.processor.name}.work")
        await self.app.start()
        self._progress_seen = self._assigned_seen = time.monotonic()

    async def wait(self) -> None:
        """Return when the reader is drained; raise when it or its Faust app has crashed."""
        assert self._work is not None  # noqa: S101 - started before
        stopped = asyncio.create_task(self.app.wait_until_stopped())
        try:
            await asyncio.wait({self._work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if self._work.done():
            self._work.result()
        elif not self._draining:
            cause = stopped.exception() or self.app.crash_reason
            raise RuntimeError(f"{self.processor.name}: Faust stopped by itself") from cause

    async def drain(self) -> None:
        """Finish the batch in hand, commit, leave the group. Cancel it to give up waiting."""
        self._draining = True
        if self._inbox.empty():
            self._inbox.put_nowait(None)
        if self._work is not None:
            await asyncio.wait({self._work})
        with contextlib.suppress(Exception):
            await self.app.consumer.commit()
        await self.app.stop()

    def set_fetch_wait(self, seconds: float) -> None:
        """Change how long an empty fetch lasts on the embedded broker, from the next one on."""
        if self._embedded:
            with contextlib.suppress(AttributeError):  # between two connections there is none
                self.app.consumer._thread._consumer._fetcher._fetch_max_wait_ms = int(
                    seconds * 1000
                )

    # -- watched ---------------------------------------------------------------------------

    def in_hand(self) -> int:
        """Return how many records the batch has that is being worked on, 0 between two."""
        return self._in_hand

    def waiting_for(self) -> str | None:
        """Return what the processor waits for."""
        return self.processor.waiting_for

    @property
    def assigned(self) -> int:
        """Return how many partitions this reader has now."""
        with contextlib.suppress(Exception):
            return len(self.app.consumer.assignment())
        return 0

    async def status(self) -> ConsumerStatus:
        """Ask the broker how far behind this reader is. Raises what the broker's client raises."""
        partitions = self.app.consumer.assignment() if self.assigned else set()
        now = time.monotonic()
        lag = await asyncio.wait_for(self._lag(partitions), ASK_S) if partitions else 0
        if partitions:
            self._assigned_seen = now
        if not lag:
            self._progress_seen = now
        return ConsumerStatus(
            now=now,
            assigned=len(partitions),
            assigned_seen=self._assigned_seen,
            lag=lag,
            last_progress=max(self._progress_seen, self.processor.last_progress),
            waiting_for=self.processor.waiting_for is not None,
            step_limit_s=self.processor.step_limit_s if self._in_hand else 0.0,
        )

    async def _lag(self, partitions: set[Any]) -> int:
        ends: Mapping[Any, int] = await self.app.consumer.highwaters(*partitions)
        lag = self._in_hand + self._inbox.qsize()
        for partition, end in ends.items():
            reached = self._done.get(partition)
            if reached is None:
                reached = await self.app.consumer.position(partition) or 0
            lag += max(0, (end or 0) - reached)
        return lag


def record_of(message: Any) -> Record:
    """Take a Faust message's bytes as they came."""
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=tuple((str(name), bytes(value or b"")) for name, value in pairs),
    )
