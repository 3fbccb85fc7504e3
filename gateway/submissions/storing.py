"""A few threads that put photos into the artifact store, one after the other while there are any.

A thread that is asked anew for each photo has to be woken, and wakes the event loop when it is
done; both are system calls that make the loop stand back from Python's lock and queue for it again.
Here a thread takes the next photo by itself, and the loop hears of all that were stored meanwhile
at once. What it was measured to bring, and what not: docs/adr/0015-what-an-upload-costs.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

from storage.artifacts.store import ArtifactStore

THREADS = 16
"""Eight saturated a directory when nothing else ran; the rest is for stores that are far away. More
than 16 were not measured under load."""


class Storing:
    """Puts objects into a store. Use it from one event loop."""

    def __init__(self, artifacts: ArtifactStore, threads: int = THREADS) -> None:
        self._artifacts = artifacts
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="storing")
        self._waiting: deque[_Order] = deque()
        self._done: deque[_Order] = deque()
        self._told = False  # that some are done; the loop has yet to hear of it
        self._at_work = 0
        self._counting = threading.Lock()  # of those at work, which begin and end seldom

    async def put(self, key: str, file: BinaryIO) -> None:
        """Return when the object is stored; raise what the store raises."""
        loop = asyncio.get_running_loop()
        order = _Order(key, file, loop.create_future())
        self._waiting.append(order)
        with self._counting:
            more = self._at_work < self._threads
            self._at_work += more
        if more:
            self._pool.submit(self._work, loop)
        await order.stored

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while (order := self._next()) is not None:
            try:
                self._artifacts.put(order.key, order.file)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller hears of it
                order.error = error
            self._done.append(order)
            if not self._told:
                self._told = True
                loop.call_soon_threadsafe(self._tell)

    def _next(self) -> _Order | None:
        """Return the next order; without one, count this thread out, unless one came just now."""
        with contextlib.suppress(IndexError):
            return self._waiting.popleft()
        with self._counting:
            with contextlib.suppress(IndexError):
                return self._waiting.popleft()
            self._at_work -= 1
        return None

    def _tell(self) -> None:
        self._told = False  # first: what is done from here on is told anew
        while self._done:
            order = self._done.popleft()
            if order.stored.done():  # the caller was cancelled
                continue
            if order.error is None:
                order.stored.set_result(None)
            else:
                order.stored.set_exception(order.error)


@dataclass(eq=False)
class _Order:
    """One object to be stored, and what kept it from being."""

    key: str
    file: BinaryIO
    stored: asyncio.Future[None]
    error: Exception | None = None
