"""Consumes batches from Kafka for one processor, and commits the offsets of finished batches.

Faust reads the topics and runs the consumer group; this module decides what is committed:

1. Faust's agent puts each event into a bounded inbox, without acknowledgement.
2. `_gather` takes a batch from the inbox.
3. The processor processes the batch. It returns when the broker has every result.
4. `_mark_finished` records the next offset of each partition, unless a rebalance came between.
5. The Faust app commits the recorded offsets every second and on stop (`agents.workers.faust_app`).

Faust's own acknowledgements are ignored, because Faust acknowledges events that it skips or drops.
``tests/integration/test_faust_traps.py`` tests each defect of Faust that this design avoids.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.runtime.processor import LoadingProcessor, Processor
from agents.workers.barrier import Barrier
from agents.workers.crash_counts import LIMIT, CrashCounts
from agents.workers.faust_app import FaustNotes, Notes, Offsets, make_app
from agents.workers.turns import Turns
from agents.workers.watchdog import ConsumerStatus
from streams.broker.connection import BrokerUrl
from streams.broker.records import Record

GATHER_S = 0.003
"""Time that an incomplete batch waits for more records."""
LAG_TIMEOUT_S = 10.0
INBOX = 512
"""Largest number of events between Faust and the batch loop. A batch cannot be larger."""


class ProcessorConsumer:
    """Runs one processor on one consumer group, one batch at a time."""

    def __init__(
        self,
        processor: Processor,
        broker: BrokerUrl,
        *,
        prefix: str = "lookstream",
        barrier: Barrier | None = None,
        turns: Turns | None = None,
        crash_limit: int = LIMIT,
    ) -> None:
        self.processor = processor
        self._barrier = barrier
        self._turns = turns or Turns()
        self._crash_limit = crash_limit
        self.name = processor.name
        self.started = False
        self._finished: Offsets = {}
        notes: Notes = {}
        self.app = make_app(processor, broker, self._finished, prefix, notes)
        self._crashes = CrashCounts(self.name, FaustNotes(self.app, notes))
        self._first_read: dict[Any, int] = {}
        self._inbox: asyncio.Queue[tuple[int, Any] | None] = asyncio.Queue(INBOX)
        self._assignment = 0
        self._draining = False
        self._in_hand = 0
        self._last_progress = self._last_assigned = time.monotonic()
        self._loop: asyncio.Task[None] | None = None
        self._embedded = broker.embedded
        self.on_record: Callable[[], None] = lambda: None
        self.on_batch: Callable[[str, float], None] = lambda _name, _took_s: None
        topic = self.app.topic(*processor.topics, key_serializer="raw", value_serializer="raw")
        self.app.agent(topic, name=f"{processor.name}.reader", concurrency=1)(self._read)
        self.app.on_partitions_revoked.connect(self._on_rebalance)

    # -- from Faust ------------------------------------------------------------------------

    async def _read(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self.on_record()
            self._first_read.setdefault(event.message.tp, event.message.offset)
            await self._inbox.put((self._assignment, event))

    async def _on_rebalance(self, *_: Any, **__: Any) -> None:
        """Drop all buffered events: the broker delivers them again after a rebalance."""
        self._assignment += 1
        self._finished.clear()
        self._first_read.clear()
        self._crashes.assigned()
        while not self._inbox.empty():
            self._inbox.get_nowait()
        if self._draining:
            self._inbox.put_nowait(None)

    # -- batches ---------------------------------------------------------------------------

    async def _process_batches(self) -> None:
        while batch := await self._gather():
            assignment, events = batch[0][0], [event for _, event in batch]
            self._in_hand = len(events)
            began = time.monotonic()
            await self._process(assignment, events)
            self._in_hand = 0
            self._last_progress = time.monotonic()
            self.on_batch(self.name, self._last_progress - began)
            if self._draining:
                return

    async def _process(self, assignment: int, events: Sequence[Any]) -> None:
        """Process a batch. If the worker crashed before, the records that were in work at the crash
        are processed one by one, each alone in this process."""
        if self._barrier is None:
            await self.processor.process([record_of(event.message) for event in events])
            self._finish(assignment, events)
            return
        if isinstance(self.processor, LoadingProcessor):
            await self.processor.loaded()
        await self._crashes.read({event.message.tp for event in events})
        if any(self._is_suspect(event) for event in events):
            for event in events:
                await self._process_alone(assignment, event)
            return
        async with self._turns.together():
            await self._begin(assignment, events)
            await self._barrier.process([record_of(event.message) for event in events])
        self._finish(assignment, events)

    async def _process_alone(self, assignment: int, event: Any) -> None:
        assert self._barrier is not None  # noqa: S101 - the caller checked
        record, tp = record_of(event.message), event.message.tp
        times = self._crashes.count(tp) if self._is_suspect(event) else 0
        if times >= self._crash_limit:
            await self._barrier.refuse(record, times)
        else:
            async with self._turns.alone():
                await self._begin(assignment, [event])
                await self._barrier.process([record])
        self._crashes.finish(tp)
        self._finish(assignment, [event])

    def _is_suspect(self, event: Any) -> bool:
        return self._crashes.suspect(event.message.tp, event.message.offset)

    async def _begin(self, assignment: int, events: Sequence[Any]) -> None:
        if assignment == self._assignment:
            await self._crashes.begin([(each.message.tp, each.message.offset) for each in events])

    def _finish(self, assignment: int, events: Sequence[Any]) -> None:
        if assignment == self._assignment:
            self._mark_finished(events)

    async def _gather(self) -> list[tuple[int, Any]]:
        """Return 1 to `Processor.batch` events; return an empty list when draining."""
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
            if item[0] == self._assignment:
                batch.append(item)
        return [item for item in batch if item[0] == self._assignment] or await self._gather()

    def _mark_finished(self, events: Sequence[Any]) -> None:
        """Allow the Faust app to commit the offsets of ``events``."""
        for event in events:
            self._finished[event.message.tp] = event.message.offset + 1

    # -- start and stop --------------------------------------------------------------------

    async def start(self) -> None:
        """Join the consumer group; return when partitions are assigned for the first time."""
        self._loop = asyncio.create_task(self._process_batches(), name=f"{self.name}.batches")
        await self.app.start()
        self._last_progress = self._last_assigned = time.monotonic()
        self.started = True

    async def wait(self) -> None:
        """Return when drained. Raises the error of the batch loop or of the Faust app."""
        assert self._loop is not None  # noqa: S101 - `start` was called
        stopped = asyncio.create_task(self.app.wait_until_stopped())
        try:
            await asyncio.wait({self._loop, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if self._loop.done():
            self._loop.result()
        elif not self._draining:
            cause = stopped.exception() or self.app.crash_reason
            raise RuntimeError(f"{self.name}: Faust stopped unexpectedly") from cause

    async def withdraw(self) -> None:
        """Remove the notes of the records in work, because they did not cause the end of the
        process that may follow."""
        if self._in_hand:
            await self._crashes.withdraw()

    async def drain(self) -> None:
        """Finish the current batch, commit, leave the group. Cancel the call to stop waiting."""
        self._draining = True
        if self._inbox.empty():
            self._inbox.put_nowait(None)
        if self._loop is not None:
            await asyncio.wait({self._loop})
        with contextlib.suppress(Exception):
            await self.app.consumer.commit()
        await self.app.stop()

    def set_fetch_wait(self, seconds: float) -> None:
        """Set how many seconds an empty fetch lasts on the embedded broker. Does nothing with
        Apache Kafka."""
        if self._embedded:
            with contextlib.suppress(AttributeError):  # the consumer is reconnecting
                self.app.consumer._thread._consumer._fetcher._fetch_max_wait_ms = int(
                    seconds * 1000
                )

    # -- status ----------------------------------------------------------------------------

    def in_hand(self) -> int:
        """Return the number of records in the current batch, 0 between batches."""
        return self._in_hand

    def waiting_for(self) -> str | None:
        """Return the reason why the processor waits, None when it does not wait."""
        waits = self._barrier.waiting_for if self._barrier else None
        return self.processor.waiting_for or waits

    @property
    def assigned(self) -> int:
        """The number of assigned partitions."""
        with contextlib.suppress(Exception):
            return len(self.app.consumer.assignment())
        return 0

    async def status(self) -> ConsumerStatus:
        """Return assignment, lag and progress. Raises the Kafka client's errors."""
        partitions = self.app.consumer.assignment() if self.assigned else set()
        now = time.monotonic()
        if self.waiting_for():
            await self.withdraw()
        lag = await asyncio.wait_for(self._lag(partitions), LAG_TIMEOUT_S) if partitions else 0
        if partitions:
            self._last_assigned = now
        if not lag:
            self._last_progress = now
        return ConsumerStatus(
            now=now,
            assigned=len(partitions),
            last_assigned=self._last_assigned,
            lag=lag,
            last_progress=max(self._last_progress, self.processor.last_progress),
            waiting=self.waiting_for() is not None,
            step_limit_s=self.processor.step_limit_s if self._in_hand else 0.0,
        )

    async def _lag(self, partitions: set[Any]) -> int:
        ends: Mapping[Any, int] = await self.app.consumer.highwaters(*partitions)
        lag = 0
        for partition, end in ends.items():
            # The client's position is after the records in the buffers, which are not finished.
            reached = self._finished.get(partition, self._first_read.get(partition))
            if reached is None:
                reached = await self.app.consumer.position(partition) or 0
            lag += max(0, (end or 0) - reached)
        return lag


def record_of(message: Any) -> Record:
    """Return the raw record of a Faust message."""
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
