"""Check the gateway's dependencies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from storage.errors import StorageError
from streams.errors import StreamError

Check = Callable[[], Awaitable[None]]
LIMIT_S = 2.0


class Readiness:
    """Runs the checks of all dependencies in parallel, with a time limit of ``limit_s`` seconds
    each.

    A hanging check keeps running, and later calls wait for it instead of starting another.
    Otherwise frequent probes would use all threads while a store is unavailable.
    """

    def __init__(self, checks: Mapping[str, Check], limit_s: float = LIMIT_S) -> None:
        self._checks = checks
        self._limit_s = limit_s
        self._running: dict[str, asyncio.Task[str | None]] = {}

    async def reasons(self) -> dict[str, str | None]:
        """Return the reason why each dependency is down, or None if it is up."""
        found = await asyncio.gather(*(self._reason(name) for name in self._checks))
        return dict(zip(self._checks, found, strict=True))

    async def _reason(self, name: str) -> str | None:
        task = self._running.get(name)
        if task is None or task.done():
            task = asyncio.ensure_future(_verdict(self._checks[name]))
            self._running[name] = task
        done, _ = await asyncio.wait([task], timeout=self._limit_s)
        return task.result() if done else f"no answer within {self._limit_s:g} s"


async def _verdict(check: Check) -> str | None:
    try:
        await check()
    except (StorageError, StreamError) as error:
        return str(error) or error.code
    except Exception as error:  # noqa: BLE001 - a failing check means "down"
        return type(error).__name__
    return None
