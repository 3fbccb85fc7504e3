"""Run services of docker-compose.yaml as plain processes, with their commands and health checks.

A service gets only the environment from the image and the Compose file. Addresses of containers are
replaced by those of the real test servers, ports by free ports, and /tmp by a directory for each
service.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread

from deploy.local.server import free_port
from lookstream.supervisor.probe import reason
from tests.composing import ROOT, services
from tests.polling import until

HEALTHY_S = 240.0
STUCK = 70
STOP_S = 15.0
PORTS = ("LOOKSTREAM_WORKER_PORT", "LOOKSTREAM_PORT")
IMAGE = dict(
    re.findall(r"^(?:ENV|   ) (?!PIP_)([A-Z_]+)=(\S+)", (ROOT / "Dockerfile").read_text(), re.M)
)


class Composed:
    """The file's lookstream services. ``addresses`` maps container names to real addresses."""

    def __init__(self, home: Path, addresses: Mapping[str, str]) -> None:
        self.home = home
        self._addresses = addresses
        self._environments: dict[str, dict[str, str]] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._faults: dict[str, str] = {}
        self._ended = Event()

    def run(self, name: str, *command: str, **extra: str) -> None:
        """Run a setup service to its end; ``command`` replaces the image's command."""
        environment = {**self.environment(name), **extra}
        done = subprocess.run(
            command or self.command(name),
            env=environment,
            cwd=self._directory(name),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"

    @contextmanager
    def running(self, *names: str) -> Iterator[None]:
        """Run services until the block ends. The block starts when all are healthy.

        As Compose does, start a service again if its watchdog ended it. No service may end for
        another reason.
        """
        with ExitStack() as stack:
            # Start one after another: ten concurrent starts on two cores slow each other down.
            for name in names:
                stack.enter_context(self._process(name))
                self._await_health(name)
            self._ended.clear()
            keeper = stack.enter_context(self._keeping())
            yield
            self._ended.set()
            keeper.join()
            for process in self._processes.values():  # at once, to drain in parallel
                process.terminate()
        assert not self._faults, self._faults

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Add each service's state to a failure in the block."""
        try:
            yield
        except AssertionError as error:
            for name in self._processes:
                why = reason(int(self.port(name)))
                error.add_note(f"-- {name}: {why or 'healthy'}\n{self._log(name)[-1000:]}")
            raise

    @contextmanager
    def _keeping(self) -> Iterator[Thread]:
        keeper = Thread(target=self._keep, name="compose")
        keeper.start()
        try:
            yield keeper
        finally:
            self._ended.set()
            keeper.join()

    def _keep(self) -> None:
        while not self._ended.wait(0.5):
            for name, process in self._processes.items():
                code = process.poll()
                if code == STUCK:
                    self._start(name)
                elif code is not None and name not in self._faults:
                    self._faults[name] = f"ended with {code}:\n{self._log(name)}"

    def port(self, name: str) -> str:
        """Return the service's port on this machine."""
        environment = self.environment(name)
        return next(environment[each] for each in PORTS if each in environment)

    def environment(self, name: str) -> dict[str, str]:
        """Return a service's environment, the same each time."""
        if name not in self._environments:
            settings = {**IMAGE, **services()[name]["environment"]}
            settings = {key: self._here(name, str(value)) for key, value in settings.items()}
            ports = {key: str(free_port()) for key in PORTS if key in settings}
            place = {"PATH": "/usr/bin:/bin", "TMPDIR": str(self._directory(name))}
            self._environments[name] = {**settings, **ports, **place, "PYTHONPATH": str(ROOT)}
        return self._environments[name]

    def command(self, name: str) -> list[str]:
        """Return a service's command line, after the image's entry point."""
        written = list(services()[name]["command"])
        if "--port" in written:
            written[written.index("--port") + 1] = self.port(name)
        return [sys.executable, "-m", "lookstream", *written]

    @contextmanager
    def _process(self, name: str) -> Iterator[None]:
        self._start(name)
        try:
            yield
        finally:
            process = self._processes.pop(name)
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self.command(name),
                env=self.environment(name),
                cwd=self._directory(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _await_health(self, name: str) -> None:
        try:
            until(lambda: self._healthy(name), HEALTHY_S)
        except AssertionError as error:
            why = reason(int(self.port(name)))
            raise AssertionError(f"{name} is not healthy: {why}\n{self._log(name)}") from error

    def _healthy(self, name: str) -> bool:
        """Return whether the service's health check passes."""
        code = self._processes[name].poll()
        if code == STUCK:
            self._start(name)
        assert code in {None, STUCK}, f"{name} ended with {code}:\n{self._log(name)}"
        if reason(int(self.port(name))) is not None:
            return False
        kind, program, *arguments = services()[name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        check = [sys.executable, *arguments]
        done = subprocess.run(check, env=self.environment(name), capture_output=True, check=False)
        return done.returncode == 0

    def _log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")[-3000:]

    def _here(self, name: str, value: str) -> str:
        for there, here in self._addresses.items():
            value = value.replace(there, here)
        return re.sub(r"^/tmp\b", str(self._directory(name)), value)

    def _directory(self, name: str) -> Path:
        directory = self.home / name
        directory.mkdir(exist_ok=True)
        return directory
