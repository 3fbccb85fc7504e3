"""Who listens for which jobs, and the handing out of what is heard."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice

from streams.events.models import JobUpdated

# What one listener has not read yet: bounded, however slowly it reads.
MAX_WAITING_JOBS = 1_000
AT_ONCE = 100


@dataclass(frozen=True)
class PendingUpdate:
    """A job's newest state. ``received_ms`` (UTC) is when the first news of this job came that the
    listener has not read: whatever waits behind it was heard later."""

    update: JobUpdated
    received_ms: int


class Mailbox:
    """The newest state of each job that a listener has not read yet, oldest news first.

    A newer state takes the place of an older one. With more than ``most`` jobs waiting it is
    closed and emptied: its listener is too slow, and catches up from the job store. Everything is
    to be called on the event loop's thread.
    """

    def __init__(self, most: int = MAX_WAITING_JOBS) -> None:
        self._most = most
        self._waiting: dict[str, PendingUpdate] = {}
        self._gap = False
        self._closed = False
        self._stirred = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Nothing comes any more."""
        return self._closed

    def put(self, update: JobUpdated) -> None:
        """Keep an update until it is taken, unless a newer one of its job is here already."""
        if self._closed:
            return
        known = self._waiting.get(update.job_id)
        if known is None:
            self._waiting[update.job_id] = PendingUpdate(update, time.time_ns() // 1_000_000)
        elif _age(update) > _age(known.update):
            self._waiting[update.job_id] = replace(known, update=update)
        if len(self._waiting) > self._most:
            self.close()
        self._stirred.set()

    def mark_gap(self) -> None:
        """Say that news may have been missed up to now."""
        self._gap = True
        self._stirred.set()

    def close(self) -> None:
        """Drop what waits and wake the listener for the last time."""
        self._closed = True
        self._waiting.clear()
        self._stirred.set()

    def take(self, most: int = AT_ONCE) -> list[PendingUpdate]:
        """Return the news that have waited longest, at most so many, and forget them."""
        taken = list(islice(self._waiting.values(), most))
        for news in taken:
            del self._waiting[news.update.job_id]
        return taken

    def take_gap(self) -> bool:
        """Tell whether news may have been missed since the last call."""
        gap, self._gap = self._gap, False
        return gap

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return when there is something to take, at the end, or when the time is over."""
        if self._waiting or self._gap or self._closed:
            return
        self._stirred.clear()
        # Not wait_for: cancelled in the moment that it is stirred, that would go on (Python 3.11).
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._stirred.wait()


def _age(update: JobUpdated) -> tuple[int, int]:
    return update.run, update.revision


# What a mailbox is filed under: a job, a group, or everything (the group None).
_Address = tuple[str, str | None]
_EVERYTHING: _Address = ("group", None)


class JobFeed:
    """The mailboxes of all listeners of one process.

    To be used on the event loop's thread; `wants` alone may be asked on any. A deleted job has
    lost its group, so all groups hear of it.
    """

    def __init__(self) -> None:
        self._filed: defaultdict[_Address, set[Mailbox]] = defaultdict(set)
        self._of_groups = 0
        self._closed = False

    @property
    def listeners(self) -> int:
        return sum(len(boxes) for boxes in self._filed.values())

    @contextmanager
    def subscribe_to_job(self, job_id: str) -> Iterator[Mailbox]:
        """Listen for one job; begin before reading it, or miss a change between."""
        with self._listening(("job", job_id)) as mailbox:
            yield mailbox

    @contextmanager
    def subscribe_to_group(self, group: str | None) -> Iterator[Mailbox]:
        """Listen for all jobs of a group; None means all jobs there are."""
        self._of_groups += 1
        try:
            with self._listening(("group", group)) as mailbox:
                yield mailbox
        finally:
            self._of_groups -= 1

    def wants(self, job_id: str) -> bool:
        """Tell whether any listener might want news of this job."""
        return self._of_groups > 0 or ("job", job_id) in self._filed

    def deliver(self, updates: Iterable[JobUpdated]) -> None:
        """Put each update into the mailboxes that it is for."""
        for update in updates:
            for mailbox in self._addressed(update):
                mailbox.put(update)

    def mark_gap(self) -> None:
        """Tell all listeners that they may have missed something."""
        for boxes in self._filed.values():
            for mailbox in boxes:
                mailbox.mark_gap()

    def open(self) -> None:
        """Take listeners (again)."""
        self._closed = False

    def close(self) -> None:
        """End all listening, and that of whoever comes from now on."""
        self._closed = True
        for boxes in self._filed.values():
            for mailbox in boxes:
                mailbox.close()

    def _addressed(self, update: JobUpdated) -> Iterator[Mailbox]:
        addresses = {("job", update.job_id), ("group", update.group), _EVERYTHING}
        if update.status == "deleted" and update.group is None:
            addresses |= {address for address in self._filed if address[0] == "group"}
        for address in addresses:
            yield from self._filed.get(address, ())

    @contextmanager
    def _listening(self, address: _Address) -> Iterator[Mailbox]:
        mailbox = Mailbox()
        if self._closed:
            mailbox.close()
        self._filed[address].add(mailbox)
        try:
            yield mailbox
        finally:
            self._filed[address].discard(mailbox)
            if not self._filed[address]:
                del self._filed[address]
