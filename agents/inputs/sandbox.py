"""Child processes that can be killed, for work on untrusted bytes.

A child shares only one socket with its parent. `agents.inputs.child` runs in the child, and
`agents.inputs.confinement` takes everything else from the child: no secrets, files, network or
other processes. The parent sets the child's memory limit for each photo. The socket carries JSON
and bytes, never pickles: a crafted photo may take over the child, and the child must not be able to
run code in the parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.inputs.confinement import Confinement, supported
from agents.inputs.memory import BudgetExceeded, MemoryBudget
from agents.inputs.messages import MAX_BYTES, Message, receive, send

_START_S = 60.0
_ENVIRONMENT = ("LD_LIBRARY_PATH",)
"""An interpreter outside the system's folders may need this variable to find its own library."""
_ROOT = str(Path(__file__).resolve().parents[2])
_BOOT = (
    "import sys; sys.path += sys.argv[4:]; from importlib import import_module; "
    "import_module(sys.argv[1]).main(int(sys.argv[2]), sys.argv[3])"
)
_ALARMS = (-signal.SIGALRM, -signal.SIGPROF)
_WORKING = 96 << 20
"""Bytes of address space besides the reserved memory, for Python's objects while a child works."""


class SandboxTimeout(Exception):
    """The child exceeded its time limit and was killed."""


class SandboxCrashed(Exception):
    """The child ended before it answered."""


class SandboxFull(Exception):
    """The work needs ``need`` bytes, more than the budget of all children."""

    def __init__(self, need: int) -> None:
        super().__init__(need)
        self.need = need


class SandboxPool:
    """Up to ``count`` child processes that run ``module`` and start on demand.

    ``call`` is thread-safe and waits for a free child. All children share ``budget``. A child asks
    for the memory that it estimates from its photo's header, waits until this memory is free, and
    may then use this much more address space than an idle child. ``means`` are the kernel's means
    of confinement; None asks the kernel.
    """

    def __init__(
        self, module: str, *, count: int, budget: MemoryBudget, means: Confinement | None = None
    ) -> None:
        self._module = module
        self._budget = budget
        self._means = means or supported()
        self._free = threading.BoundedSemaphore(count)
        self._idle: list[_ChildProcess] = []
        self._lock = threading.Lock()

    def call(
        self, header: Mapping[str, Any], blobs: Sequence[bytes], timeout_s: float, cpu_s: float
    ) -> Message:
        """Send one message to a child and return its answer.

        The child has ``timeout_s`` seconds, of which it may compute ``cpu_s``. A wait for memory
        does not count. Raises `SandboxTimeout`, `SandboxCrashed`, `SandboxFull`.
        """
        timed = {**header, "alarm_s": timeout_s + 1.0, "cpu_s": cpu_s}
        with self._free:
            child = self._take()
            try:
                answer = child.call(timed, blobs, timeout_s)
            except SandboxFull:
                self._put_back(child)
                raise
            except BaseException:
                child.kill()
                raise
            self._put_back(child)
            return answer

    def close(self) -> None:
        """Kill the idle children."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()

    def _put_back(self, child: _ChildProcess) -> None:
        if child.has_grown:  # less of its address space would be left for the next photo
            child.kill()
            return
        with self._lock:
            self._idle.append(child)

    def _take(self) -> _ChildProcess:
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return _ChildProcess(self._module, self._budget, self._means)
            if child.alive:
                return child
            child.kill()


class _ChildProcess:
    def __init__(self, module: str, budget: MemoryBudget, means: Confinement) -> None:
        self._budget = budget
        self._socket, theirs = socket.socketpair()
        paths = [_ROOT, *(os.path.abspath(path) for path in sys.path if path)]  # noqa: PTH100
        with theirs:
            fd = theirs.fileno()
            boot = ["-I", "-S", "-W", "ignore", "-X", "utf8", "-c", _BOOT]
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, *boot, module, str(fd), json.dumps(asdict(means)), *paths],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(fd,),
                cwd="/",
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                start_new_session=True,  # Ctrl-C must not reach the child
            )
        try:
            self._bare = int(self._receive(time.monotonic() + _START_S)[0]["address_space"])
        except (SandboxTimeout, SandboxCrashed) as error:
            self.kill()
            raise RuntimeError(f"the child process {module} cannot start") from error

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def has_grown(self) -> bool:
        """Tell whether the idle child keeps much memory of its last photo."""
        return _address_space(self._process.pid) > self._bare + _WORKING // 2

    def call(self, header: Mapping[str, Any], blobs: Sequence[bytes], timeout_s: float) -> Message:
        self._limit(2 * sum(map(len, blobs)))
        answer = self._exchange(header, blobs, timeout_s)
        need = answer[0].get("need")
        if need is None:
            return answer
        if not isinstance(need, int) or need < 0:
            raise SandboxCrashed
        try:
            with self._budget.reserve(need):
                self._limit(need)
                return self._exchange({"granted": True}, (), timeout_s)
        except BudgetExceeded:
            self._exchange({"granted": False}, (), timeout_s)
            raise SandboxFull(need) from None

    def _exchange(
        self, header: Mapping[str, Any], blobs: Sequence[bytes], timeout_s: float
    ) -> Message:
        deadline = time.monotonic() + timeout_s
        self._socket.settimeout(timeout_s)
        try:
            send(self._socket, header, blobs)
        except TimeoutError as error:
            raise SandboxTimeout from error
        except OSError as error:
            raise self._ended() from error
        return self._receive(deadline)

    def _receive(self, deadline: float) -> Message:
        try:
            return receive(self._socket, deadline, MAX_BYTES)
        except TimeoutError as error:
            raise SandboxTimeout from error
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._ended() from error

    def _ended(self) -> SandboxTimeout | SandboxCrashed:
        """Return the error for a child that has ended: `SandboxTimeout` if the child's own alarm
        ended it, otherwise `SandboxCrashed`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process.wait(timeout=0.5) in _ALARMS:
                return SandboxTimeout()
        return SandboxCrashed()

    def _limit(self, work: int) -> None:
        """Limit the child's address space to ``work`` bytes more than the child needs when idle."""
        if not sys.platform.startswith("linux"):
            return
        least = self._bare + _WORKING
        with contextlib.suppress(ProcessLookupError):  # the child has ended; `_exchange` reports it
            resource.prlimit(
                self._process.pid,
                resource.RLIMIT_AS,
                (least + work, least + max(work, self._budget.total, MAX_BYTES)),
            )

    def kill(self) -> None:
        self._socket.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)


def _address_space(pid: int) -> int:
    """Return the size of a process's address space in bytes; 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()
