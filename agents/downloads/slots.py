"""Limits how many downloads run at the same time: in all, from one host, and for one sender."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

REMEMBERED_HOSTS = 10_000


class NoSlot(Exception):
    """All slots that the download could have are taken."""


class Slots:
    """At most ``total`` downloads, of these ``per_host`` from one host and ``per_sender`` for one
    sender. A host whose last download timed out gets one download at a time.

    The limits leave slots for others: a sender whose servers never answer takes three quarters of
    the slots at most.
    """

    def __init__(
        self, total: int = 64, *, per_host: int = 8, per_sender: int | None = None
    ) -> None:
        self._total = total
        self._per_host = per_host
        self._per_sender = max(1, total * 3 // 4) if per_sender is None else per_sender
        self._hosts: Counter[str] = Counter()
        self._senders: Counter[str] = Counter()
        self._silent: dict[str, None] = {}
        self._taken = 0
        self._waiting: dict[asyncio.Future[None], tuple[str, str]] = {}

    @property
    def taken(self) -> int:
        """The number of slots in use."""
        return self._taken

    @asynccontextmanager
    async def slot(self, host: str, sender: str, timeout_s: float) -> AsyncIterator[None]:
        """Hold a slot. Raises `NoSlot` if none is free for ``timeout_s`` seconds."""
        if self._free(host, sender):
            self._take(host, sender)
        else:
            await self._wait(host, sender, timeout_s)
        try:
            yield
        finally:
            self._give_back(host, sender)

    async def _wait(self, host: str, sender: str, timeout_s: float) -> None:
        """Wait until `_give_back` has taken a slot for this caller. First come, first served."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = (host, sender)
        try:
            async with asyncio.timeout(timeout_s):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if self._waiting.pop(turn, None) is None:  # the slot was taken in the same moment
                self._give_back(host, sender)
            if isinstance(error, TimeoutError):
                raise NoSlot from None
            raise

    def _take(self, host: str, sender: str) -> None:
        self._taken += 1
        self._hosts[host] += 1
        self._senders[sender] += 1

    def _give_back(self, host: str, sender: str) -> None:
        """Free a slot, and wake only the callers that get one: thousands can wait."""
        self._taken -= 1
        _decrease(self._hosts, host)
        _decrease(self._senders, sender)
        for turn, (waiting_host, waiting_sender) in list(self._waiting.items()):
            if self._taken >= self._total:
                break
            if self._free(waiting_host, waiting_sender):
                self._take(waiting_host, waiting_sender)
                del self._waiting[turn]
                if not turn.done():
                    turn.set_result(None)

    def answered(self, host: str, answered: bool) -> None:
        """Record whether the last download of ``host`` ended before its time limit."""
        if answered:
            self._silent.pop(host, None)
            return
        self._silent[host] = None
        if len(self._silent) > REMEMBERED_HOSTS:
            self._silent.pop(next(iter(self._silent)))

    def _free(self, host: str, sender: str) -> bool:
        per_host = 1 if host in self._silent else self._per_host
        return (
            self._taken < self._total
            and self._hosts[host] < per_host
            and self._senders[sender] < self._per_sender
        )


def _decrease(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
