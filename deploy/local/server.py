"""One server process on this machine: start, wait until ready, stop or kill."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.local.builds import ServerUnavailable, built

HOST = "127.0.0.1"
# Below the kernel's ephemeral ports, so that no other process gets the port during a restart.
PORTS = range(20_000, 32_000)
READY_S = 60.0
STOP_S = 20.0


class Server(ABC):
    """A real server on loopback. Port and data survive a restart.

    A subclass defines the name, the URL, the preparation of the data directory, the command, and a
    check whether the server answers.
    """

    name: str

    def __init__(self) -> None:
        self.port = free_port()
        self._data: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Return the URL in the form of Lookstream's settings."""

    @abstractmethod
    def command(self, home: Path, data: Path) -> list[str]:
        """Return the command line, from the program's directory and the data directory."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether the server serves requests."""

    def prepare(self, home: Path, data: Path) -> None:  # noqa: B027  (most servers need nothing)
        """Prepare the data directory for the first start."""

    def environment(self) -> Mapping[str, str]:
        return {}

    def start(self, data: Path) -> str:
        """Start on ``data``, which is prepared if new, and return the URL when the server is ready.

        Raises `ServerUnavailable` if the build fails, or the server exits or is not ready in time.
        """
        home = built(self.name)
        if not data.is_dir():
            data.mkdir(parents=True)
            self.prepare(home, data)
        self._data = data
        with (data / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  (a program from our own build)
                self.command(home, data),
                cwd=data,
                env={**os.environ, **self.environment(), "HOME": str(data)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard = guard(self._process.pid)
        try:
            wait_until(self._ready, READY_S)
        except TimeoutError:
            self.kill()
            raise ServerUnavailable(f"{self.name} was not ready in time:\n{self.log()}") from None
        return self.url

    def stop(self) -> None:
        """Stop the server, and kill the process after a time limit."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        self.kill()

    def kill(self) -> None:
        """Kill the process at once, like a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._guard is not None:
            dismiss(self._guard)
            self._guard = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Pause the process inside the block: connections stay open, but get no answers."""
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop the server if it runs, and start it on the same port and data."""
        if self._data is None:
            raise RuntimeError(f"{self.name} was never started")
        self.stop()
        self.start(self._data)

    def log(self) -> str:
        """Return the end of the server's log."""
        path = (self._data or Path()) / "server.log"
        return path.read_text(errors="replace")[-4000:] if path.is_file() else ""

    def _ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise ServerUnavailable(f"{self.name} ended while starting:\n{self.log()}")
        return self.answers()


def guard(pid: int) -> subprocess.Popen[bytes]:
    """Start a shell that kills the process group when this process ends for any reason.

    The shell waits for a line from `dismiss`. A closed pipe without a line means that this process
    ended.
    """
    script = f"read -r line || kill -KILL -{pid}"
    return subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True
    )


def dismiss(guarding: subprocess.Popen[bytes]) -> None:
    """End a `guard` whose process has ended."""
    guarding.communicate(b"ended\n")


def free_port() -> int:
    """Return a free loopback port, outside the range from which the kernel assigns ports."""
    candidates = iter(lambda: secrets.choice(PORTS), None)
    return next(port for port in candidates if not accepts(port))


def accepts(port: int) -> bool:
    """Return whether a process listens on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def wait_until(condition: Callable[[], bool], limit_s: float, pause_s: float = 0.1) -> None:
    """Return once ``condition()`` is true; raise TimeoutError after ``limit_s`` seconds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"condition not true within {limit_s} s")
        time.sleep(pause_s)
