"""Landlock through system calls: limit this process to reading a few folders.

Linux's `landlock.h` defines the structures. The version ("ABI") that the kernel has decides which
accesses can be denied: 1 (Linux 5.13) files, 4 (6.7) TCP, 6 (6.12) signals and abstract sockets.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_GET_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_FILE_ACCESSES = {1: 13, 2: 14, 3: 15, 5: 16}
"""ABI → the number of kinds of file access that can be denied, from this ABI on."""
_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract UNIX sockets, signals

SystemCall = Callable[..., int]
"""``syscall(number, …)``: returns -1 and sets errno on an error."""


class _Rules(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("folder", ctypes.c_int32))


def abi(syscall: SystemCall | None = None) -> int:
    """Return the kernel's Landlock ABI; 0 without Landlock."""
    call = syscall or ctypes.CDLL(None, use_errno=True).syscall
    version = call(ctypes.c_long(_CREATE), None, ctypes.c_long(0), ctypes.c_long(_GET_VERSION))
    return max(int(version), 0)


def restrict(version: int, readable: Iterable[str]) -> None:
    """Restrict this process with Landlock. The process may still read files below the folders
    ``readable``. Landlock denies all other accesses that it knows in its ABI ``version``.

    Nothing can undo the restriction. ``no_new_privs`` must be set before. Raises `OSError`.
    """
    kinds = max(count for since, count in _FILE_ACCESSES.items() if since <= version)
    rules = _Rules(
        files=(1 << kinds) - 1,
        net=_TCP if version >= 4 else 0,
        scoped=_SCOPES if version >= 6 else 0,
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _call(_CREATE, ctypes.byref(rules), size, 0)
    for path in readable:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = _PathBeneath(_READ_FILE | _READ_DIRECTORY, folder)
        _call(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
        os.close(folder)
    _call(_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _call(number: int, *arguments: object) -> int:
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *words))
    if result < 0:
        raise OSError(ctypes.get_errno(), "landlock: " + os.strerror(ctypes.get_errno()))
    return result
