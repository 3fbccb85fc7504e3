"""`lookstream up`: runs a gateway and two workers on this machine, and restarts them when they die.

The embedded broker runs in this process, so that the broker survives its clients. On Ctrl-C all
processes stop within 10 s. Unfinished jobs continue at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.request import urlopen

import structlog

from lookstream.errors import CannotStart
from lookstream.settings import Settings
from lookstream.supervisor.processes import (
    RESTARTED,
    SUPERVISED,
    check_bind,
    hide_memory,
    on_hangup,
)
from lookstream.wiring import gateway as wiring
from lookstream.wiring.stages import NETWORK_STAGES, stage_graph
from lookstream.wiring.workers import check_worker
from streams.broker.connection import BrokerUrl, EmbeddedBroker
from streams.broker.topics import create_topics

log = structlog.get_logger()

STOP_S = 8.0
"""Time limit in seconds for a child process to stop. The whole system stops within 10 s."""

SETTLED_S = 30.0
"""After this time in seconds, a child process has finished its start, including the first sweep."""

STARTS = 3
"""`up` gives up if a child process ends this many times before all processes were ready once. Ends
by a signal, and with the watchdog's exit code, do not count."""
STUCK = 70


class ChildProcess:
    """A child process that is restarted whenever it ends, after a growing pause."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._arguments = [sys.executable, "-m", "lookstream", *arguments]
        self._environment = {**os.environ, **environment, SUPERVISED: "1"}
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.was_ready = False

    async def keep_alive(self) -> None:
        """Run until `stop`. Raises `CannotStart`."""
        pause, failed = 0.5, 0
        while not self._stopping:
            began = time.monotonic()
            self._process = await self._start()
            code = await self._process.wait()
            if self._stopping:
                return
            failed += code > 0 and code != STUCK
            if failed == STARTS and not self.was_ready:
                raise CannotStart(
                    f"the {self.name} ended {STARTS} times before it was ready, at last with exit "
                    f"code {code}; see its messages above"
                )
            pause = 0.5 if time.monotonic() - began > SETTLED_S else min(pause * 2, 15.0)
            log.warning("process_died", process=self.name, code=code, pause_s=pause)
            if time.monotonic() - began > SETTLED_S:
                self._environment[RESTARTED] = "1"
            await asyncio.sleep(pause)

    async def _start(self) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *self._arguments,
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C must reach `up` only, which stops the children
            )
        except OSError as error:
            raise CannotStart(f"the {self.name} cannot be executed: {error}") from error

    def reload(self) -> None:
        """Make a running worker load its networks again."""
        if self._process and self._process.returncode is None:
            log.info("reload_requested", process=self.name)
            self._process.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """Send SIGTERM, and SIGKILL after `STOP_S`."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            log.warning("process_killed", process=self.name)
            process.kill()
            await process.wait()


def up(settings: Settings, *, insecure: bool, ready: Callable[[str], None]) -> None:
    """Run all processes until SIGINT or SIGTERM. Call ``ready`` with the gateway's URL once all
    processes are ready.

    Raises `CannotStart` and `UnsafeBind`.
    """
    # Check now: a child process that cannot start would be restarted without end.
    check_bind(settings, insecure=insecure)
    hide_memory()
    check_worker(settings, stage_graph(settings).names)
    with _locked(settings.home), _broker(settings) as kafka:
        settings = settings.model_copy(update={"kafka": kafka, "port": _port(settings)})
        settings = wiring.resolved(settings)
        create_topics(BrokerUrl.parse(kafka), wiring.topic_plan(settings))
        asyncio.run(_supervise(settings, insecure, ready))


async def _supervise(settings: Settings, insecure: bool, ready: Callable[[str], None]) -> None:
    ports = _worker_ports(settings)
    environment = _environment(settings)
    flags = ["--insecure"] if insecure else []
    workers = [
        ChildProcess(
            "worker", ["worker", *stages], {**environment, "LOOKSTREAM_WORKER_PORT": str(port)}
        )
        for stages, port in zip(_workers(settings), ports, strict=True)
    ]
    children = [*workers, ChildProcess("gateway", ["gateway", *flags], environment)]
    stop, hangup = asyncio.Event(), asyncio.Event()
    on_hangup(hangup)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runs = [asyncio.create_task(child.keep_alive()) for child in children]
    for run in runs:
        run.add_done_callback(lambda ended: _stop_on_failure(ended, stop))
    own = [f"{wiring.own_url(settings)}/health/ready"]
    pages = own + [f"http://127.0.0.1:{port}/health/ready" for port in ports]
    reloading = asyncio.create_task(_reload_workers(hangup, dict(zip(ports, workers, strict=True))))

    def all_ready() -> None:
        for child in children:
            child.was_ready = True
        ready(settings.public_url)

    reporting = asyncio.create_task(_report_ready(pages, all_ready))
    await stop.wait()
    reporting.cancel()
    reloading.cancel()
    await asyncio.gather(*(child.stop() for child in children))
    failures = [run.exception() for run in runs if run.done() and not run.cancelled()]
    for run in runs:
        run.cancel()
    for failure in filter(None, failures):
        raise failure


def _stop_on_failure(run: asyncio.Task[None], stop: asyncio.Event) -> None:
    """Stop all processes when one cannot start."""
    if not run.cancelled() and (error := run.exception()):
        log.error("process_not_started", reason=str(error))
        stop.set()


async def _reload_workers(hangup: asyncio.Event, workers: Mapping[int, ChildProcess]) -> None:
    """Reload the workers at each SIGHUP. A worker that does not answer yet loads the new files
    anyway."""
    while True:
        await hangup.wait()
        hangup.clear()
        for port, worker in workers.items():
            if await asyncio.to_thread(_answers, f"http://127.0.0.1:{port}/health/live"):
                worker.reload()


async def _report_ready(pages: Sequence[str], ready: Callable[[], None]) -> None:
    waiting = list(pages)
    while waiting:
        await asyncio.sleep(0.1)
        if await asyncio.to_thread(_answers, waiting[0]):
            waiting.pop(0)
    ready()


def _answers(page: str) -> bool:
    try:
        with urlopen(page, timeout=2) as response:  # noqa: S310 - our own http URLs
            return bool(response.status == 200)
    except OSError:
        return False


def _workers(settings: Settings) -> tuple[list[str], list[str]]:
    """Return the stages of each worker process.

    Two processes are faster than one, because the threads of a process share Python's interpreter
    lock. ADR 8 has the measurements.
    """
    others = [name for name in stage_graph(settings).names if name not in NETWORK_STAGES]
    return [*wiring.other_processors(settings), *others], list(NETWORK_STAGES)


def _worker_ports(settings: Settings) -> list[int]:
    """Return the workers' health ports: the port in the settings and the next, or free ports."""
    asked = settings.worker_port
    remedy = "set another LOOKSTREAM_WORKER_PORT"
    return [_bindable("127.0.0.1", asked and asked + n, remedy) for n in range(2)]


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "LOOKSTREAM_HOME": str(settings.home.absolute()),
        "LOOKSTREAM_KAFKA": settings.kafka,
        "LOOKSTREAM_ARTIFACTS": settings.artifacts,
        "LOOKSTREAM_JOBS": settings.jobs,
        "LOOKSTREAM_HOST": settings.host,
        "LOOKSTREAM_PORT": str(settings.port),
        "LOOKSTREAM_PUBLIC_URL": settings.public_url,
    }


@contextlib.contextmanager
def _broker(settings: Settings) -> Iterator[str]:
    """Yield the broker's URL. The embedded broker runs until the end of the context."""
    if settings.kafka != "embedded://":
        yield settings.kafka
        return
    broker = EmbeddedBroker()
    try:
        yield str(broker)
    finally:
        broker.close()


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Lock the data directory. Raises `CannotStart` if another `up` has the lock."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(
                f"another `lookstream up` uses {home}; stop it, or pass another --data DIR"
            ) from None
        yield


def _port(settings: Settings) -> int:
    """Return the gateway's port; 0 means a free port. Raises `CannotStart` if it is in use."""
    return _bindable(settings.host, settings.port, "pass another --port")


def _bindable(host: str, port: int, remedy: str) -> int:
    with socket.socket() as probe:
        # The servers set the same option: a port that was in use a moment ago can be bound again.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"cannot listen on {host}:{port}: {error.strerror}; {remedy}"
            ) from None
        return int(probe.getsockname()[1])
