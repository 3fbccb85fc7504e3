"""Lets one consumer of a process work alone, so that a crash has only one possible cause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

PATIENCE_S = 30.0
"""Longest wait for other consumers, in seconds. A batch that waits for a store can take hours."""


class Turns:
    """Batches of all consumers of one process: many `together`, or one `alone`.

    After ``patience_s`` a caller stops waiting for the others and works beside them.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._working = 0
        self._reserved = False
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Work beside other batches, but not beside a batch that works alone."""
        async with self._changed:
            await self._until(lambda: not self._reserved)
            self._working += 1
        try:
            yield
        finally:
            await self._change(working=-1)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait until no other batch of the process is in work; keep other batches waiting."""
        async with self._changed:
            await self._until(lambda: not self._reserved)
            self._reserved = True
            await self._until(lambda: not self._working)
        try:
            yield
        finally:
            self._reserved = False
            await self._change(working=0)

    async def _until(self, condition: Callable[[], bool]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                await self._changed.wait_for(condition)

    async def _change(self, *, working: int) -> None:
        self._working += working
        async with self._changed:
            self._changed.notify_all()
