"""One server process on this machine: started, watched until it is ready, stopped or killed."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from deploy.local.builds import ServerUnavailable, built

HOST = "127.0.0.1"
# Below those that the kernel hands out, so that nobody gets a server's while it is down.
PORTS = range(20_000, 32_000)
READY_S = 60.0
STOP_S = 20.0


class Server(ABC):
    """A real server on loopback. It keeps its port and its data over a restart.

    What a subclass adds: its name, its URL, how to begin its data directory, its command, and how
    to tell that it answers.
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
        """Return the address, in the form that Lookstream's settings take."""

    @abstractmethod
    def command(self, home: Path, data: Path) -> list[str]:
        """Return the command line, given the built program's and the data directory."""

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether the server serves requests; may raise anything while it does not."""

    def prepare(self, home: Path, data: Path) -> None:  # noqa: B027  (nothing, for most)
        """Make the data directory ready for a first start."""

    def environment(self) -> Mapping[str, str]:
        return {}

    def start(self, data: Path) -> str:
        """Start on ``data`` (made and formatted if new), wait until it answers, return the URL.

        Raises `ServerUnavailable` when it cannot be built, ends early or is not ready in a minute.
        """
        home = built(self.name)
        if not data.is_dir():
            data.mkdir(parents=True)
            self.prepare(home, data)
        self._data = data
        with (data / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  (a program that we built)
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
        """End it in good order, or hard when it does not go."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._guard is not None:
            dismiss(self._guard)
            self._guard = None

    def restart(self) -> None:
        """Start again on the same port and the same data, whether it runs or not."""
        if self._data is None:
            raise RuntimeError(f"{self.name} was never started")
        self.stop()
        self.start(self._data)

    def log(self) -> str:
        """Return the end of what the server wrote."""
        path = (self._data or Path()) / "server.log"
        return path.read_text(errors="replace")[-4000:] if path.is_file() else ""

    def _ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise ServerUnavailable(f"{self.name} ended while starting:\n{self.log()}")
        return self.answers()


def guard(pid: int) -> subprocess.Popen[bytes]:
    """Start a shell that kills a process group once this process is gone, however it went.

    It waits for a line from us, `dismiss`; the end of the pipe without one means that we died.
    """
    script = f"read -r line || kill -KILL -{pid}"
    return subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True
    )


def dismiss(guarding: subprocess.Popen[bytes]) -> None:
    """End a `guard` whose process has ended."""
    guarding.communicate(b"ended\n")


def free_port() -> int:
    """Return a loopback port that nobody listens on now, nor is likely to be given soon."""
    candidates = iter(lambda: secrets.choice(PORTS), None)
    return next(port for port in candidates if not accepts(port))


def accepts(port: int) -> bool:
    """Tell whether somebody listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def wait_until(condition: Callable[[], bool], limit_s: float, pause_s: float = 0.1) -> None:
    """Return once ``condition()`` is true; raise TimeoutError after ``limit_s`` seconds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {limit_s} s")
        time.sleep(pause_s)
