"""A consumer that processes many records at the same time and commits their offsets in order.

For a processor whose records wait for other machines: one slow record must not delay the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from agents.workers.consumer import ProcessorConsumer, record_of

ALONE_S, ALL_ALONE_S = 30.0, 60.0
"""Longest time in seconds for which one suspect record, and all suspect records together, make the
other records wait."""


class Window:
    """The offsets of one consumer that are in work. Offsets of a partition begin in order."""

    def __init__(self) -> None:
        self._begun: dict[Any, deque[int]] = {}
        self._done: dict[Any, set[int]] = {}

    def begin(self, partition: Any, offset: int) -> None:
        """Record that work on the record begins."""
        self._begun.setdefault(partition, deque()).append(offset)
        self._done.setdefault(partition, set())

    def first(self, partition: Any) -> int | None:
        """Return the first offset of the partition that is in work, None without one."""
        begun = self._begun.get(partition)
        return begun[0] if begun else None

    def finish(self, partition: Any, offset: int) -> int | None:
        """Record that work on the record has ended, and return the offset to commit: the offset
        after the last record up to which all records of the partition are finished. Return None if
        an earlier record is still in work."""
        begun, done = self._begun[partition], self._done[partition]
        done.add(offset)
        reached = None
        while begun and begun[0] in done:
            reached = begun.popleft()
            done.discard(reached)
        return None if reached is None else reached + 1

    def clear(self) -> None:
        """Forget all records: the partitions were revoked."""
        self._begun.clear()
        self._done.clear()


class SideBySideConsumer(ProcessorConsumer):
    """Runs one processor on one consumer group, up to ``processor.parallel`` records at a time.

    A record that is in work during a rebalance or at the end is cancelled, and the broker delivers
    it again. The first crashes of the worker are counted for all records in work. In the last try,
    each of these records is processed alone, so that only the record that causes the crash is
    refused.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._parallel: int = getattr(self.processor, "parallel", 1)
        self._window = Window()
        self._running: set[asyncio.Task[None]] = set()
        self._crash: BaseException | None = None
        self._alone_until: float | None = None

    async def _on_rebalance(self, *args: Any, **options: Any) -> None:
        await super()._on_rebalance(*args, **options)
        self._window.clear()
        self._alone_until = None
        await self._cancel()

    async def drain(self) -> None:
        """Cancel the records in work, commit, leave the group."""
        self._draining = True
        await self._cancel()
        await self._crashes.withdraw()
        await super().drain()

    async def _process_batches(self) -> None:
        while self._crash is None and (batch := await self._gather()):
            for assignment, event in batch:
                await self._begin_event(assignment, event)
            while len(self._running) >= self._parallel:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        await self._cancel()
        if self._crash is not None:
            raise self._crash

    async def _begin_event(self, assignment: int, event: Any) -> None:
        """Begin work on a record. In its last try, a suspect record is processed while no other
        record is in work, unless that takes too long."""
        tp, offset = event.message.tp, event.message.offset
        if self._barrier is not None:
            await self._crashes.read({tp})
        if assignment != self._assignment or self._draining:
            return
        self._window.begin(tp, offset)
        times = self._crashes.blamed(tp, offset, self._crash_limit)
        if self._barrier is not None and times >= self._crash_limit:
            await self._barrier.refuse(record_of(event.message), times)
            self._settle(assignment, event)
        elif times >= self._crash_limit - 1 and times and await self._is_alone():
            await self._process_suspect(assignment, event)
        else:
            first = self._window.first(tp)
            if self._barrier is not None and first is not None:
                await self._crashes.begin_beside(tp, first, offset)
            self._start(assignment, event)

    async def _is_alone(self) -> bool:
        """Wait until no record is in work; tell whether a suspect may be processed alone now."""
        if self._alone_until is None:
            self._alone_until = time.monotonic() + ALL_ALONE_S
        if time.monotonic() > self._alone_until:
            return False
        if self._running:
            await asyncio.wait(set(self._running), timeout=ALONE_S)
        return not self._running

    async def _process_suspect(self, assignment: int, event: Any) -> None:
        tp, offset = event.message.tp, event.message.offset
        async with self._turns.alone():
            first = self._window.first(tp)
            if assignment != self._assignment or self._draining or first is None:
                return
            await self._crashes.begin_alone(tp, first, offset, self._crash_limit)
            await asyncio.wait({self._start(assignment, event)}, timeout=ALONE_S)

    def _start(self, assignment: int, event: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(self._process_event(assignment, event))
        self._running.add(task)
        task.add_done_callback(self._ended)
        self._in_hand = len(self._running)
        return task

    async def _process_event(self, assignment: int, event: Any) -> None:
        await (self._barrier or self.processor).process([record_of(event.message)])
        self._settle(assignment, event)

    def _settle(self, assignment: int, event: Any) -> None:
        """Allow the commit of the record's offset once all records before it are finished."""
        if assignment != self._assignment:
            return
        tp = event.message.tp
        reached = self._window.finish(tp, event.message.offset)
        if reached is not None:
            self._finished[tp] = reached
            self._crashes.moved(tp, reached, self._window.first(tp) is not None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._in_hand = len(self._running)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._crash = error
        if self._inbox.empty():
            self._inbox.put_nowait(None)

    async def _cancel(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
