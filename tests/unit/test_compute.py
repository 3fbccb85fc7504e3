"""The compute pool: time limits, and threads that hang."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from agents.runtime.compute import ComputePool
from tests.polling import eventually


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """An event that ends the hanging work."""
    event = threading.Event()
    yield event
    event.set()


async def test_results_and_errors_of_the_work_are_returned() -> None:
    pool = ComputePool(threads=1)
    assert await pool.run(lambda: 7, 5.0) == 7
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0, 5.0)
    assert pool.abandoned == 0
    pool.close()


async def test_the_time_limit_starts_when_the_work_starts(over: threading.Event) -> None:
    pool = ComputePool(threads=1)
    running = asyncio.create_task(pool.run(lambda: over.wait(20), 20.0))
    queued = asyncio.create_task(pool.run(lambda: "done", 0.2))
    waited = await asyncio.wait({queued}, timeout=0.5)
    assert waited == (set(), {queued})
    over.set()
    assert (await running, await queued) == (True, "done")
    pool.close()


async def test_queued_work_continues_after_hanging_work(over: threading.Event) -> None:
    pool = ComputePool(threads=2)
    began = threading.Semaphore(0)

    def hang() -> None:
        began.release()
        over.wait(20)

    hanging = [asyncio.create_task(pool.run(hang, 0.05)) for _ in range(2)]
    queued = [asyncio.create_task(pool.run(lambda: "done", 5.0)) for _ in range(3)]
    for task in hanging:
        with pytest.raises(TimeoutError, match=r"longer than 0\.05 s"):
            await task
    await eventually(lambda: all(task.done() for task in queued))
    assert [task.result() for task in queued] == ["done"] * 3
    assert pool.abandoned == 2
    over.set()
    await eventually(lambda: pool.abandoned == 0)
    pool.close()


async def test_late_work_that_ended_does_not_count_as_hanging(over: threading.Event) -> None:
    pool = ComputePool(threads=1)
    for _ in range(5):
        over.clear()
        with pytest.raises(TimeoutError):
            await pool.run(lambda: over.wait(20), 0.01)
        over.set()
        await eventually(lambda: pool.abandoned == 0)
    pool.close()
