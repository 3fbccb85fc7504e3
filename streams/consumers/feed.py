"""Deliver job updates to the listeners of one process."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice

from streams.events.models import JobUpdated

# Bounds for one listener that reads slowly.
MAX_WAITING_JOBS = 1_000
AT_ONCE = 100


@dataclass(frozen=True)
class PendingUpdate:
    """A job's newest state. ``received_ms`` (Unix time in ms) is when the first unread update of
    the job arrived. The entries of a mailbox are in the order of these times."""

    update: JobUpdated
    received_ms: int


class Mailbox:
    """The unread updates of one listener: the newest state of each job, oldest entry first.

    With more than ``most`` jobs the mailbox is emptied and closed: the listener is too slow and
    must reread the job store. Call all methods on the event loop's thread.
    """

    def __init__(self, most: int = MAX_WAITING_JOBS) -> None:
        self._most = most
        self._waiting: dict[str, PendingUpdate] = {}
        self._gap = False
        self._closed = False
        self._woken = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether no more updates will come."""
        return self._closed

    def put(self, update: JobUpdated) -> None:
        """Add an update, unless a newer one of its job is waiting."""
        if self._closed:
            return
        known = self._waiting.get(update.job_id)
        if known is None:
            self._waiting[update.job_id] = PendingUpdate(update, time.time_ns() // 1_000_000)
        elif _age(update) > _age(known.update):
            self._waiting[update.job_id] = replace(known, update=update)
        if len(self._waiting) > self._most:
            self.close()
        self._woken.set()

    def mark_gap(self) -> None:
        """Wake the listener, which may have missed updates."""
        self._gap = True
        self._woken.set()

    def close(self) -> None:
        """Drop all updates and wake the listener for the last time."""
        self._closed = True
        self._waiting.clear()
        self._woken.set()

    def take(self, most: int = AT_ONCE) -> list[PendingUpdate]:
        """Remove and return the oldest updates, at most ``most``."""
        taken = list(islice(self._waiting.values(), most))
        for pending in taken:
            del self._waiting[pending.update.job_id]
        return taken

    def take_gap(self) -> bool:
        """Tell whether `mark_gap` was called since the last call of this method."""
        gap, self._gap = self._gap, False
        return gap

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return on an update, a gap, the close, or after ``timeout_s`` seconds."""
        if self._waiting or self._gap or self._closed:
            return
        self._woken.clear()
        # In Python 3.11, wait_for can lose a cancellation that comes together with the wake-up.
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()


def _age(update: JobUpdated) -> tuple[int, int]:
    return update.run, update.revision


# The key of a subscription: a job, a group, or all jobs (the group None).
_Key = tuple[str, str | None]
_ALL_JOBS: _Key = ("group", None)


class JobFeed:
    """The mailboxes of all listeners of one process.

    Call all methods except `wants` on the event loop's thread. Any thread may call `wants`. A
    deleted job has no group, so all groups get its update.
    """

    def __init__(self) -> None:
        self._mailboxes: defaultdict[_Key, set[Mailbox]] = defaultdict(set)
        self._group_listeners = 0
        self._closed = False

    @property
    def listeners(self) -> int:
        return sum(len(boxes) for boxes in self._mailboxes.values())

    @contextmanager
    def subscribe_to_job(self, job_id: str) -> Iterator[Mailbox]:
        """Subscribe to one job. Subscribe before reading the job, so that no change is missed."""
        with self._listening(("job", job_id)) as mailbox:
            yield mailbox

    @contextmanager
    def subscribe_to_group(self, group: str | None) -> Iterator[Mailbox]:
        """Subscribe to all jobs of a group, or to all jobs if ``group`` is None."""
        self._group_listeners += 1
        try:
            with self._listening(("group", group)) as mailbox:
                yield mailbox
        finally:
            self._group_listeners -= 1

    def wants(self, job_id: str) -> bool:
        """Tell whether a listener may want updates of this job."""
        return self._group_listeners > 0 or ("job", job_id) in self._mailboxes

    def deliver(self, updates: Iterable[JobUpdated]) -> None:
        """Put each update into the mailboxes of its listeners."""
        for update in updates:
            for mailbox in self._recipients(update):
                mailbox.put(update)

    def mark_gap(self) -> None:
        """Tell all listeners that they may have missed updates."""
        for boxes in self._mailboxes.values():
            for mailbox in boxes:
                mailbox.mark_gap()

    def open(self) -> None:
        """Accept listeners, also after `close`."""
        self._closed = False

    def close(self) -> None:
        """Close all mailboxes. Until `open`, the mailboxes of new listeners are closed too."""
        self._closed = True
        for boxes in self._mailboxes.values():
            for mailbox in boxes:
                mailbox.close()

    def _recipients(self, update: JobUpdated) -> Iterator[Mailbox]:
        keys = {("job", update.job_id), ("group", update.group), _ALL_JOBS}
        if update.status == "deleted" and update.group is None:
            keys |= {key for key in self._mailboxes if key[0] == "group"}
        for key in keys:
            yield from self._mailboxes.get(key, ())

    @contextmanager
    def _listening(self, key: _Key) -> Iterator[Mailbox]:
        mailbox = Mailbox()
        if self._closed:
            mailbox.close()
        self._mailboxes[key].add(mailbox)
        try:
            yield mailbox
        finally:
            self._mailboxes[key].discard(mailbox)
            if not self._mailboxes[key]:
                del self._mailboxes[key]
