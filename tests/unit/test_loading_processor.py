"""The loading processor: joins its group first, and switches processors on reload."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agents.runtime.processor import LoadingProcessor
from streams.broker.records import Record


class WaitingProcessor:
    """A batch lasts until ``released`` is set. Until then, the processor waits for a store."""

    name = "sewing"
    topics = ("cloth-cut",)
    last_progress = 7.0

    def __init__(self, batch: int = 32, step_limit_s: float = 1.0) -> None:
        self.batch = batch
        self.step_limit_s = step_limit_s
        self.waiting_for: str | None = None
        self.took: list[Sequence[Record]] = []
        self.released = asyncio.Event()

    async def process(self, records: Sequence[Record]) -> None:
        self.took.append(records)
        self.waiting_for = "the store is away"
        await self.released.wait()
        self.waiting_for = None


async def started(loading: LoadingProcessor) -> asyncio.Task[None]:
    task = asyncio.create_task(loading.process([]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_records_wait_until_the_processor_is_loaded() -> None:
    loading, processor = LoadingProcessor("sewing", ("cloth-cut",), 32), WaitingProcessor()
    waiting = await started(loading)
    assert (loading.waiting_for, processor.took) == ("loading", [])
    loading.switch_to(processor)
    processor.released.set()
    await waiting
    assert (loading.waiting_for, len(processor.took)) == (None, 1)


async def test_the_current_batch_keeps_its_processor_during_a_switch() -> None:
    """Otherwise the worker would be ready during a wait, and the watchdog would see no progress."""
    loading, old, new = (
        LoadingProcessor("sewing", ("cloth-cut",), 32),
        WaitingProcessor(),
        WaitingProcessor(step_limit_s=2.0),
    )
    loading.switch_to(old)
    held = await started(loading)
    loading.switch_to(new)
    assert (loading.waiting_for, loading.step_limit_s) == ("the store is away", 1.0)
    assert new.took == []
    old.released.set()
    await held
    assert (loading.waiting_for, loading.step_limit_s) == (None, 2.0)
    new.released.set()
    await loading.process([])
    assert (len(old.took), len(new.took)) == (1, 1)


def test_the_batch_size_is_the_processors() -> None:
    loading = LoadingProcessor("sewing", ("cloth-cut",), 32)
    loading.switch_to(WaitingProcessor(batch=100))
    assert loading.batch == 100
