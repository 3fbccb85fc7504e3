"""List processes with `ps`, to find those of `up` and to check that none remains."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Process:
    """A process; ``started`` distinguishes it from a later process with the same id."""

    pid: int
    started: str
    parent: int = field(compare=False)
    command: str = field(compare=False)


def descendants(pid: int) -> set[Process]:
    """Return all descendants of ``pid``."""
    everyone = _processes()
    found: set[Process] = set()
    parents = {pid}
    while parents:
        children = {each for each in everyone if each.parent in parents}
        found |= children
        parents = {each.pid for each in children}
    return found


def alive(processes: Iterable[Process]) -> set[Process]:
    """Return the processes that still run."""
    return set(processes) & _processes()


def _processes() -> set[Process]:
    """Return every process except zombies."""
    columns = "pid=,ppid=,stat=,lstart=,args="
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", columns], capture_output=True, text=True, check=True
    ).stdout
    found = set()
    for line in listed.splitlines():
        pid, parent, state, *rest = line.split(maxsplit=8)  # lstart has five fields
        if not state.startswith("Z"):
            command = rest[5] if len(rest) > 5 else ""
            found.add(Process(int(pid), " ".join(rest[:5]), int(parent), command))
    return found
