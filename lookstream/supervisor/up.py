"""`lookstream up`: gateway and all agents on this machine, restarted when they die.

The embedded broker lives in this process, so that it survives its clients. On Ctrl-C everything
stops within 10 s; what was accepted and is not done yet goes on at the next start.
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
from lookstream.supervisor.processes import ATTENDED, RESTARTED, check_bind, on_hangup
from lookstream.wiring import gateway as wiring
from lookstream.wiring.stages import NETWORK_STAGES
from lookstream.wiring.workers import check_worker
from streams.broker.connection import BrokerUrl, EmbeddedBroker
from streams.broker.topics import create_topics

log = structlog.get_logger()

STOP_S = 8.0
"""Seconds a child has to stop by itself, of the 10 that stopping may take."""

SETTLED_S = 30.0
"""After that long a child has done what is done at a start."""


class Child:
    """One process of ours, started again whenever it ends, with a growing pause between."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._arguments = [sys.executable, "-m", "lookstream", *arguments]
        self._environment = {**os.environ, **environment, ATTENDED: "1"}
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def keep_alive(self) -> None:
        """Run until `stop`."""
        pause = 0.5
        while not self._stopping:
            began = time.monotonic()
            self._process = await asyncio.create_subprocess_exec(
                *self._arguments,
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches this process alone, which tells them
            )
            code = await self._process.wait()
            if self._stopping:
                return
            pause = 0.5 if time.monotonic() - began > SETTLED_S else min(pause * 2, 15.0)
            log.warning("process_died", process=self.name, code=code, pause_s=pause)
            if time.monotonic() - began > SETTLED_S:
                self._environment[RESTARTED] = "1"
            await asyncio.sleep(pause)

    def renew(self) -> None:
        """Make a running process load its networks again."""
        if self._process and self._process.returncode is None:
            log.info("reload_requested", process=self.name)
            self._process.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """Ask it to stop, and insist after `STOP_S`."""
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
    """Run everything until SIGINT or SIGTERM; ``ready`` is told the address once all answers.

    Raises `CannotStart` and `UnsafeBind`.
    """
    # What cannot start would be started for ever.
    check_bind(settings, insecure=insecure)
    check_worker(settings, wiring.stage_graph(settings).names)
    with _sole_user(settings.home), _broker(settings) as kafka:
        settings = settings.model_copy(update={"kafka": kafka, "port": _port(settings)})
        settings = wiring.resolved(settings)
        create_topics(BrokerUrl.parse(kafka), wiring.topic_plan(settings))
        asyncio.run(_supervise(settings, insecure, ready))


async def _supervise(settings: Settings, insecure: bool, ready: Callable[[str], None]) -> None:
    ports = _worker_ports(settings)
    environment = _environment(settings)
    flags = ["--insecure"] if insecure else []
    workers = [
        Child("worker", ["worker", *stages], {**environment, "LOOKSTREAM_WORKER_PORT": str(at)})
        for stages, at in zip(_workers(settings), ports, strict=True)
    ]
    children = [*workers, Child("gateway", ["gateway", *flags], environment)]
    stop, hangup = asyncio.Event(), asyncio.Event()
    on_hangup(hangup)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lives = [asyncio.create_task(child.keep_alive()) for child in children]
    for life in lives:
        life.add_done_callback(lambda ended: _unless_stopped(ended, stop))
    own = [f"{wiring.own_url(settings)}/health/ready"]
    pages = own + [f"http://127.0.0.1:{port}/health/ready" for port in ports]
    renewing = asyncio.create_task(_renew_when(hangup, dict(zip(ports, workers, strict=True))))
    told = asyncio.create_task(_tell_when_ready(pages, lambda: ready(settings.public_url)))
    await stop.wait()
    told.cancel()
    renewing.cancel()
    await asyncio.gather(*(child.stop() for child in children))
    for life in lives:
        life.cancel()


def _unless_stopped(life: asyncio.Task[None], stop: asyncio.Event) -> None:
    """Stop everything where a process cannot even be started: nobody would notice."""
    if not life.cancelled() and (error := life.exception()):
        log.error("process_not_started", exc_info=error)
        stop.set()


async def _renew_when(asked: asyncio.Event, workers: Mapping[int, Child]) -> None:
    """Tell the workers; one whose page does not answer yet has its files still to read."""
    while True:
        await asked.wait()
        asked.clear()
        for port, worker in workers.items():
            if await asyncio.to_thread(_answers, f"http://127.0.0.1:{port}/health/live"):
                worker.renew()


async def _tell_when_ready(pages: Sequence[str], ready: Callable[[], None]) -> None:
    waiting = list(pages)
    while waiting:
        await asyncio.sleep(0.1)
        if await asyncio.to_thread(_answers, waiting[0]):
            waiting.pop(0)
    ready()


def _answers(page: str) -> bool:
    try:
        with urlopen(page, timeout=2) as response:  # noqa: S310 - our own http pages
            return bool(response.status == 200)
    except OSError:
        return False


def _workers(settings: Settings) -> tuple[list[str], list[str]]:
    """Return the stages of each worker process.

    The threads of one process wait for each other's interpreter lock: two did a tenth more.
    """
    others = [name for name in wiring.stage_graph(settings).names if name not in NETWORK_STAGES]
    return [*wiring.other_processors(settings), *others], list(NETWORK_STAGES)


def _worker_ports(settings: Settings) -> list[int]:
    """Return the ports of the workers' pages: the one that is set and the next, or free ones."""
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
    """Yield the broker's URL; the embedded one is started, and stopped at the end."""
    if settings.kafka != "embedded://":
        yield settings.kafka
        return
    broker = EmbeddedBroker()
    try:
        yield str(broker)
    finally:
        broker.close()


@contextlib.contextmanager
def _sole_user(home: Path) -> Iterator[None]:
    """Hold the data directory for this process alone."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(
                f"another `lookstream up` uses {home}; stop it, or choose another --data DIR"
            ) from None
        yield


def _port(settings: Settings) -> int:
    """Return the gateway's port, a free one for 0. Raises `CannotStart` when it is taken."""
    return _bindable(settings.host, settings.port, "choose another --port")


def _bindable(host: str, port: int, remedy: str) -> int:
    with socket.socket() as probe:
        # As the servers themselves do: a port that was theirs a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"cannot listen on {host}:{port}: {error.strerror}; {remedy}"
            ) from None
        return int(probe.getsockname()[1])
