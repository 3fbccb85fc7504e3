"""A process of `lookstream up`: kept alive, and followed by another when it is to be renewed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from urllib.request import urlopen

import structlog

from lookstream.processes import ATTENDED, RESTARTED

log = structlog.get_logger()

STOP_S = 8.0
"""Seconds a child has to stop by itself, of the 10 that stopping may take."""

READY_S = 60.0
"""Seconds a successor has to be ready."""


class Child:
    """One process of ours, started again whenever it ends, with a growing pause between."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._arguments = [sys.executable, "-m", "lookstream", *arguments]
        self._environment = {**os.environ, **environment, ATTENDED: "1"}
        self._process: Process | None = None
        self._stopping = False

    async def keep_alive(self) -> None:
        """Run until `stop`."""
        pause = 0.5
        while not self._stopping:
            began = time.monotonic()
            self._process = await self._start()
            code = await self._ended()
            if self._stopping:
                return
            pause = 0.5 if time.monotonic() - began > 30 else min(pause * 2, 15.0)
            log.warning("died", action="restart", process=self.name, code=code, pause_s=pause)
            self._environment[RESTARTED] = "1"
            await asyncio.sleep(pause)

    async def renew(self, environment: Mapping[str, str], page: str) -> None:
        """Start a successor, wait until ``page`` says that it is ready, and stop its predecessor.

        One that is not ready within `READY_S`, or ends, is given up, and the predecessor goes on.
        """
        before, self._environment = dict(self._environment), {**self._environment, **environment}
        successor = await self._start()
        try:
            ready = await _ready(successor, page)
        except asyncio.CancelledError:
            await self._end(successor)
            raise
        if not ready:
            log.error("not ready", action="renew", process=self.name, code=successor.returncode)
            self._environment = before
            await self._end(successor)
            return
        predecessor, self._process = self._process, successor
        log.info("took over", action="renew", process=self.name)
        if predecessor:
            await self._end(predecessor)

    async def stop(self) -> None:
        """Ask it to stop, and insist after `STOP_S`."""
        self._stopping = True
        if self._process:
            await self._end(self._process)

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            *self._arguments,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches this process alone, which tells them
        )

    async def _ended(self) -> int:
        """The exit code of the process, or of the last that took over from it."""
        while process := self._process:
            code = await process.wait()
            if process is self._process:
                return code
        return 0

    async def _end(self, process: Process) -> None:
        if process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            log.warning("killed", action="stop", process=self.name)
            process.kill()
            await process.wait()


async def _ready(process: Process, page: str) -> bool:
    deadline = time.monotonic() + READY_S
    while process.returncode is None and time.monotonic() < deadline:
        if await asyncio.to_thread(answers, page):
            return True
        await asyncio.sleep(0.1)
    return False


def answers(page: str) -> bool:
    """Tell whether a page answers 200."""
    try:
        with urlopen(page, timeout=2) as response:  # noqa: S310 - our own http pages
            return bool(response.status == 200)
    except OSError:
        return False
