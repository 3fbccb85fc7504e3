"""The memory that all decoder children of one worker share."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SHARE, LEAST, MOST = 0.5, 256 << 20, 2 << 30
"""The default budget: this share of the worker's memory limit, within these bounds in bytes."""


class BudgetExceeded(Exception):
    """The requested size is larger than the whole budget."""


class MemoryBudget:
    """Divides ``total`` bytes between threads, in the order in which they ask."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def free(self) -> int:
        """The bytes that are not reserved now."""
        return self._free

    @property
    def waiting(self) -> int:
        """The number of threads that wait."""
        return len(self._queue)

    @contextmanager
    def reserve(self, size: int, wait_s: float | None = None) -> Iterator[None]:
        """Reserve ``size`` bytes; wait until so many are free, at most ``wait_s`` seconds.

        Raises `BudgetExceeded` and `TimeoutError`.
        """
        if size > self.total:
            raise BudgetExceeded
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                if not self._changed.wait_for(
                    lambda: self._queue[0] is ticket and self._free >= size, wait_s
                ):
                    raise TimeoutError(f"{size} bytes were not free in {wait_s} s")
                self._free -= size
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


def default_budget(limit: int | None = None) -> int:
    """Return the budget in bytes of a worker with this memory limit; None reads the limit."""
    limit = memory_limit() if limit is None else limit
    return min(max(round(limit * SHARE), LEAST), MOST)


def memory_limit(root: Path = Path("/")) -> int:
    """Return this process's memory limit in bytes: the least of its control groups (version 1 and
    2) and the machine's memory. ``root`` is the root of the file system."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in _limit_files(root):
        with suppress(OSError, ValueError):  # absent, or "max"
            limits.append(int(file.read_text()))
    return min(limits)


def _limit_files(root: Path) -> Iterator[Path]:
    """Yield the files with the limits of this process's groups and all groups above.

    A container can see its own group's files at the root of the tree, whatever its path says.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = root / "sys/fs/cgroup", ["memory.max", "memory.high"]
        elif "memory" in controllers.split(","):
            base, names = root / "sys/fs/cgroup/memory", ["memory.limit_in_bytes"]
        else:
            continue
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):
            yield from (base / folder / name for name in names)
