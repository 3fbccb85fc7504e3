"""Who listens for which jobs, and the handing out of what is heard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from streams.events import JobUpdated
from streams.mailbox import Mailbox

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
    def of_job(self, job_id: str) -> Iterator[Mailbox]:
        """Listen for one job; begin before reading it, or miss a change between."""
        with self._listening(("job", job_id)) as mailbox:
            yield mailbox

    @contextmanager
    def of_group(self, group: str | None) -> Iterator[Mailbox]:
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

    def leave_gap(self) -> None:
        """Tell all listeners that they may have missed something."""
        for boxes in self._filed.values():
            for mailbox in boxes:
                mailbox.leave_gap()

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
