"""Killable child processes for work on hostile bytes.

A child shares nothing with us but one socket: it gets no environment (no secrets), no open
files, a memory limit, and its own alarm clock, so that it dies in time even when we are gone.
What crosses the socket is JSON and bytes, never pickles: a child taken over by a crafted picture
must not be able to run code here.
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
MOST, MOST_TEXT = 500_000_000, 1_000_000
"""Bytes that a child may answer with, in all and as JSON, which takes many times as much when it
is read: one taken over by a picture shall not take our memory."""
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR")
_ROOT = str(Path(__file__).resolve().parents[2])

Message = tuple[dict[str, Any], list[bytes]]
"""A JSON object and any number of byte strings."""


class SandboxTimeout(Exception):
    """The child did not answer in time and was killed."""


class SandboxCrashed(Exception):
    """The child went away in the middle of its work."""


class SandboxPool:
    """Up to ``count`` child processes running ``module``, started as they are needed.

    ``call`` is thread-safe and waits for a free child. ``memory_bytes`` limits the address
    space of each. Closed children are started again by the next call.
    """

    def __init__(self, module: str, *, count: int, memory_bytes: int) -> None:
        self._module = module
        self._memory_bytes = memory_bytes
        self._free = threading.BoundedSemaphore(count)
        self._idle: list[_Child] = []
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
        """End the children that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the idle children."""
        with self._lock:
            return tuple(child.pid for child in self._idle)

    def _take(self) -> _Child:
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return _Child(self._module, self._memory_bytes)
            if child.alive:
                return child
            child.kill()


class _Child:
    def __init__(self, module: str, memory_bytes: int) -> None:
        self._socket, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        paths = [_ROOT, *(path for path in sys.path if path)]
        with theirs:
            fd = theirs.fileno()
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-W", "ignore", "-m", module, str(fd), str(memory_bytes)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(fd,),
                env={**environment, "PYTHONPATH": os.pathsep.join(paths), "MALLOC_ARENA_MAX": "2"},
                start_new_session=True,  # Ctrl-C is for us; the child ends when its work is done
            )
        try:
            self._receive(time.monotonic() + _START_S)
        except (SandboxTimeout, SandboxCrashed) as error:
            self.kill()
            raise RuntimeError(f"the child process {module} does not start") from error

    @property
    def pid(self) -> int:
        return self._process.pid

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
            return receive(self._socket, deadline, MOST)
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
    """Write one message: its JSON's length, the JSON (with the blobs' sizes), the blobs."""
    text = json.dumps({**header, "sizes": [len(blob) for blob in blobs]}).encode()
    to.sendall(_HEADER.pack(len(text)) + text)
    for blob in blobs:
        to.sendall(blob)


def receive(
    source: socket.socket, deadline: float | None = None, most: int | None = None
) -> Message:
    """Read one message, of ``most`` bytes where that is said.

    Raises EOFError at the end and for a larger one, TimeoutError past ``deadline`` (monotonic).
    """
    (length,) = _HEADER.unpack(_read(source, _HEADER.size, deadline))
    if most is not None and length > MOST_TEXT:
        raise EOFError(f"a message with a text of more than {MOST_TEXT:,} bytes")
    header: dict[str, Any] = json.loads(_read(source, length, deadline))
    sizes = header.pop("sizes")
    _check(sizes, most)
    return header, [bytes(_read(source, size, deadline)) for size in sizes]


def _check(sizes: Sequence[Any], most: int | None) -> None:
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise EOFError("a message without sizes")
    if most is not None and sum(sizes) > most:
        raise EOFError(f"a message of more than {most:,} bytes")


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
