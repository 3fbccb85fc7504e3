"""A consumer that processes many records at the same time and commits their offsets in order.

For a processor whose records wait for other machines: one slow record must not delay the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from agents.workers.consumer import ProcessorConsumer, record_of


class Window:
    """The offsets of one consumer that are in work. Offsets of a partition begin in order."""

    def __init__(self) -> None:
        self._begun: dict[Any, deque[int]] = {}
        self._done: dict[Any, set[int]] = {}

    def begin(self, partition: Any, offset: int) -> None:
        """Record that work on the record begins."""
        self._begun.setdefault(partition, deque()).append(offset)
        self._done.setdefault(partition, set())

    def finish(self, partition: Any, offset: int) -> int | None:
        """Return the offset to commit: one more than the last record before which all are
        finished. None if an earlier record of the partition is still in work."""
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
    it again. Crashes are not counted: too many records are in work to blame one.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._parallel: int = getattr(self.processor, "parallel", 1)
        self._window = Window()
        self._running: set[asyncio.Task[None]] = set()
        self._crash: BaseException | None = None

    async def _on_rebalance(self, *args: Any, **options: Any) -> None:
        await super()._on_rebalance(*args, **options)
        self._window.clear()
        await self._cancel()

    async def drain(self) -> None:
        """Cancel the records in work, commit, leave the group."""
        self._draining = True
        await self._cancel()
        await super().drain()

    async def _process_batches(self) -> None:
        while self._crash is None and (batch := await self._gather()):
            for assignment, event in batch:
                self._window.begin(event.message.tp, event.message.offset)
                task = asyncio.create_task(self._process_event(assignment, event))
                self._running.add(task)
                task.add_done_callback(self._ended)
            self._in_hand = len(self._running)
            while len(self._running) >= self._parallel:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        await self._cancel()
        if self._crash is not None:
            raise self._crash

    async def _process_event(self, assignment: int, event: Any) -> None:
        await (self._barrier or self.processor).process([record_of(event.message)])
        if assignment != self._assignment:
            return
        reached = self._window.finish(event.message.tp, event.message.offset)
        if reached is not None:
            self._finished[event.message.tp] = reached

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
