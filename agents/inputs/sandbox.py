"""Child processes that can be killed, for work on untrusted bytes.

A child shares only one socket with its parent. The child gets no secrets (a bare environment), no
open files and a memory limit. Its own alarm ends it in time even when the parent is gone. The
socket carries JSON and bytes, never pickles: a crafted photo may take over the child, and the child
must not be able to run code in the parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_HEADER = struct.Struct("!I")
_START_S = 60.0
MAX_BYTES, MAX_JSON = 500_000_000, 1_000_000
"""Limits of a child's answer in bytes, in total and for its JSON. Parsed JSON needs many times its
size, and a child that a photo has taken over must not exhaust the parent's memory."""
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR")
_ROOT = str(Path(__file__).resolve().parents[2])

Message = tuple[dict[str, Any], list[bytes]]
"""A JSON object and any number of byte strings."""


class SandboxTimeout(Exception):
    """The child exceeded its time limit and was killed."""


class SandboxCrashed(Exception):
    """The child ended before it answered."""


class SandboxPool:
    """Up to ``count`` child processes that run ``module`` and start on demand.

    ``call`` is thread-safe and waits for a free child. ``memory_bytes`` limits the address space
    of each child.
    """

    def __init__(self, module: str, *, count: int, memory_bytes: int) -> None:
        self._module = module
        self._memory_bytes = memory_bytes
        self._free = threading.BoundedSemaphore(count)
        self._idle: list[_ChildProcess] = []
        self._lock = threading.Lock()

    def call(self, header: Mapping[str, Any], blobs: Sequence[bytes], timeout_s: float) -> Message:
        """Send one message to a child and return its answer.

        Raises `SandboxTimeout`, `SandboxCrashed`.
        """
        with self._free:
            child = self._take()
            try:
                answer = child.call({**header, "alarm_s": timeout_s + 1.0}, blobs, timeout_s)
            except BaseException:
                child.kill()
                raise
            with self._lock:
                self._idle.append(child)
            return answer

    def close(self) -> None:
        """Kill the idle children."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()

    def _take(self) -> _ChildProcess:
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return _ChildProcess(self._module, self._memory_bytes)
            if child.alive:
                return child
            child.kill()


class _ChildProcess:
    def __init__(self, module: str, memory_bytes: int) -> None:
        self._socket, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        paths = [_ROOT, *(path for path in sys.path if path)]
        with theirs:
            fd = theirs.fileno()
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-W", "ignore", "-m", module, str(fd), str(memory_bytes)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(fd,),
                env={**environment, "PYTHONPATH": os.pathsep.join(paths), "MALLOC_ARENA_MAX": "2"},
                start_new_session=True,  # Ctrl-C must not reach the child
            )
        try:
            self._receive(time.monotonic() + _START_S)
        except (SandboxTimeout, SandboxCrashed) as error:
            self.kill()
            raise RuntimeError(f"the child process {module} cannot start") from error

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def call(self, header: Mapping[str, Any], blobs: Sequence[bytes], timeout_s: float) -> Message:
        deadline = time.monotonic() + timeout_s
        self._socket.settimeout(timeout_s)
        try:
            send(self._socket, header, blobs)
        except TimeoutError as error:
            raise SandboxTimeout from error
        except OSError as error:
            raise SandboxCrashed from error
        return self._receive(deadline)

    def _receive(self, deadline: float) -> Message:
        try:
            return receive(self._socket, deadline, MAX_BYTES)
        except TimeoutError as error:
            raise SandboxTimeout from error
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SandboxCrashed from error

    def kill(self) -> None:
        self._socket.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)


def send(to: socket.socket, header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Write one message: the length of the JSON, the JSON with the blobs' sizes, the blobs."""
    text = json.dumps({**header, "sizes": [len(blob) for blob in blobs]}).encode()
    to.sendall(_HEADER.pack(len(text)) + text)
    for blob in blobs:
        to.sendall(blob)


def receive(
    source: socket.socket, deadline: float | None = None, max_bytes: int | None = None
) -> Message:
    """Read one message of at most ``max_bytes`` bytes.

    Raises `EOFError` at the end and for a larger message, `TimeoutError` after ``deadline``
    (monotonic).
    """
    (length,) = _HEADER.unpack(_read(source, _HEADER.size, deadline))
    if max_bytes is not None and length > MAX_JSON:
        raise EOFError(f"the message's JSON has more than {MAX_JSON:,} bytes")
    header: dict[str, Any] = json.loads(_read(source, length, deadline))
    sizes = header.pop("sizes")
    _check(sizes, max_bytes)
    return header, [bytes(_read(source, size, deadline)) for size in sizes]


def _check(sizes: Sequence[Any], max_bytes: int | None) -> None:
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise EOFError("the message has no valid sizes")
    if max_bytes is not None and sum(sizes) > max_bytes:
        raise EOFError(f"the message has more than {max_bytes:,} bytes")


def _read(source: socket.socket, size: int, deadline: float | None) -> bytearray:
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        if deadline is not None:
            source.settimeout(max(deadline - time.monotonic(), 0.001))
        count = source.recv_into(view[at:])
        if not count:
            raise EOFError
        at += count
    return data
