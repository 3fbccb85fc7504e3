"""Confine a child process before the process reads the first untrusted byte.

Three layers: resource limits always, Landlock and seccomp if the kernel has them. With seccomp, the
process can compute, allocate memory up to its limit and use the one socket to its parent. It cannot
open another socket, start, signal or trace a process, or write a file. It can read the files of the
Python interpreter if Landlock is present too, otherwise no files. Without seccomp, less is denied.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.inputs import landlock, seccomp

_PR_SET_NO_NEW_PRIVS, _M_ARENA_MAX = 38, -8
_OPEN_FILES = 16
"""The socket, the three standard streams and a few for a module that Python imports late."""
_TASKS = 8192


@dataclass(frozen=True)
class Confinement:
    """The means of confinement that the kernel offers. ``landlock`` is the version of Landlock's
    ABI; 0 means that there is no Landlock."""

    landlock: int
    seccomp: bool

    @property
    def missing(self) -> list[str]:
        """The names of the means that the kernel lacks."""
        return [name for name in ("landlock", "seccomp") if not getattr(self, name)]


def supported(
    landlock_abi: Callable[[], int] = landlock.abi,
    seccomp_available: Callable[[], bool] = seccomp.available,
) -> Confinement:
    """Ask the kernel what it supports. Changes nothing in this process."""
    if not sys.platform.startswith("linux"):
        return Confinement(0, False)
    return Confinement(landlock_abi(), seccomp_available())


def confine(means: Confinement, descriptor: int) -> None:
    """Confine this process for good; only ``descriptor`` and silent standard streams stay open.

    Everything that the process needs must be imported before. Raises `OSError` if one of ``means``
    fails: the process must then end.
    """
    _close_all_but(descriptor)
    for kind, limit in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        resource.setrlimit(kind, (limit, limit))
    _limit_processes()
    os.environ.clear()
    if means.missing == ["landlock", "seccomp"]:
        return
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if means.landlock:
        landlock.restrict(means.landlock, readable())
    if means.seccomp:
        seccomp.install(files=means.landlock > 0)


def _limit_processes() -> None:
    """Limit the number of processes and threads of this user while this process starts new ones.

    The kernel counts all threads of the user on the machine, also in other containers. So a low
    limit would stop decoders that need a thread. The seccomp filter forbids new processes.
    """
    before, most = resource.getrlimit(resource.RLIMIT_NPROC)
    limit = _TASKS if most == resource.RLIM_INFINITY else min(_TASKS, most)
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, most))
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError:  # this user already has more threads than the limit
        resource.setrlimit(resource.RLIMIT_NPROC, (before, most))
        return
    thread.join()
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def readable() -> list[str]:
    """Return the folders that a late import may read: the standard library, imported packages."""
    tops = {name.partition(".")[0] for name in list(sys.modules)}
    files = [getattr(sys.modules.get(top), "__file__", None) for top in tops]
    packages = {str(Path(file).parent) for file in files if file and file.endswith("__init__.py")}
    library = str(Path(os.__file__).parent)
    extensions = getattr(sys.modules.get("_socket"), "__file__", None)  # maybe below lib64
    if extensions:
        packages.add(str(Path(extensions).parent))
    return [library, *sorted(each for each in packages if not each.startswith(library + os.sep))]


def use_one_heap() -> None:
    """Keep the address space small: one heap for all threads (glibc only)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def _close_all_but(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, _highest() + 1)


def _highest(folder: str = "/proc/self/fd") -> int:
    try:
        return max(int(each.name) for each in Path(folder).iterdir())
    except OSError:
        return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65_536)


def _prctl(option: int, value: int) -> None:
    words = map(ctypes.c_ulong, (value, 0, 0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(option, *words):
        raise OSError(ctypes.get_errno(), f"prctl({option}): " + os.strerror(ctypes.get_errno()))
