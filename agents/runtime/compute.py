"""Runs the stages' blocking work in threads: by default one thread for each core."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class ComputePool:
    """Runs blocking work outside the event loop, with a time limit for each call.

    A thread cannot be killed. So after a time-out, a new pool of threads replaces the pool of the
    hanging thread, and `run` queues the waiting work there. ``abandoned`` is the number of threads
    that hang now; a thread that returns late is no longer counted.
    """

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads or os.cpu_count() or 1
        self.abandoned = 0
        self._pool = self._new_pool()

    def _new_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=self.threads, thread_name_prefix="compute")

    async def run(self, work: Callable[[], T], timeout_s: float) -> T:
        """Run ``work`` in a thread and return its result.

        Raises each exception that ``work`` raises. Raises `TimeoutError` if ``work`` runs for more
        than ``timeout_s`` seconds; the wait for a free thread does not count.
        """
        while True:
            pool = self._pool
            future, began = self._submit(pool, work)
            waiting: set[asyncio.Future[Any]] = {future, began}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if began.done() or not future.cancelled():
                return await self._result(pool, future, timeout_s)

    def _submit(
        self, pool: ThreadPoolExecutor, work: Callable[[], T]
    ) -> tuple[asyncio.Future[T], asyncio.Future[None]]:
        """Queue ``work``. The second future is done when a thread has begun it."""
        loop = asyncio.get_running_loop()
        began: asyncio.Future[None] = loop.create_future()

        def begin() -> T:
            loop.call_soon_threadsafe(began.set_result, None)
            return work()

        return loop.run_in_executor(pool, begin), began

    async def _result(
        self, pool: ThreadPoolExecutor, future: asyncio.Future[T], timeout_s: float
    ) -> T:
        try:
            return await asyncio.wait_for(asyncio.shield(future), timeout_s)
        except TimeoutError:
            self._abandon(pool, future)
            raise TimeoutError(f"took longer than {timeout_s:g} s") from None

    def _abandon(self, pool: ThreadPoolExecutor, future: asyncio.Future[T]) -> None:
        self.abandoned += 1
        future.add_done_callback(self._returned)
        if pool is self._pool:
            self._pool = self._new_pool()
            pool.shutdown(wait=False, cancel_futures=True)

    def _returned(self, late: asyncio.Future[Any]) -> None:
        """Stop counting a thread that has returned after its time limit; ignore its result."""
        self.abandoned -= 1
        if not late.cancelled():
            late.exception()

    def close(self) -> None:
        """Accept no more work. Running work continues to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
