"""`lookstream up`: gateway and all agents on this machine, restarted when they die.

The embedded broker lives in this process, so that it survives its clients. On Ctrl-C everything
stops within 10 s; what was accepted and is not done yet goes on at the next start. On SIGHUP each
worker gets a successor, with new weights and settings of files, before it goes itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lookstream import wiring
from lookstream.caption_wiring import check_captions
from lookstream.child import Child, answers
from lookstream.errors import CannotStart
from lookstream.settings import Settings
from streams.admin import create_topics
from streams.broker_url import BrokerUrl
from streams.embedded import EmbeddedBroker

SEEING = ("captioning", "classification", "pose")
"""Stages of the second worker: those that share one pass of the networks. The threads of one
process wait for each other's interpreter lock: two did a tenth more."""


def up(settings: Settings, *, insecure: bool, ready: Callable[[str], None]) -> None:
    """Run everything until SIGINT or SIGTERM; ``ready`` is told the address once all answers.

    Raises `CannotStart`.
    """
    check_captions(settings)  # a worker that cannot start would be started for ever
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
    stop, renewals = asyncio.Event(), _Renewals(workers, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, renewals.ask)
    lives = [asyncio.create_task(child.keep_alive()) for child in children]
    pages = [f"http://127.0.0.1:{port}/health/ready" for port in (settings.port, *ports)]
    told = asyncio.create_task(_tell_when_ready(pages, lambda: ready(settings.public_url)))
    await stop.wait()
    told.cancel()
    await renewals.stop()
    await asyncio.gather(*(child.stop() for child in children))
    for life in lives:
        life.cancel()


class _Renewals:
    """Gives each worker a successor when asked, one after another; once more if asked meanwhile."""

    def __init__(self, workers: Sequence[Child], settings: Settings) -> None:
        self._workers = workers
        self._settings = settings
        self._asked = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def ask(self) -> None:
        self._asked.set()

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        spare = 0
        while True:
            await self._asked.wait()
            self._asked.clear()
            spare = len(self._workers) - spare
            for worker, port in zip(
                self._workers, _worker_ports(self._settings, spare), strict=True
            ):
                await worker.renew(
                    {"LOOKSTREAM_WORKER_PORT": str(port)}, f"http://127.0.0.1:{port}/health/ready"
                )


async def _tell_when_ready(pages: Sequence[str], ready: Callable[[], None]) -> None:
    waiting = list(pages)
    while waiting:
        await asyncio.sleep(0.1)
        if await asyncio.to_thread(answers, waiting[0]):
            waiting.pop(0)
    ready()


def _workers(settings: Settings) -> tuple[list[str], list[str]]:
    """Return the stages of each worker process."""
    others = [name for name in wiring.stage_graph(settings).names if name not in SEEING]
    return [*wiring.beside_stages(settings), *others], list(SEEING)


def _worker_ports(settings: Settings, spare: int = 0) -> list[int]:
    """Return the ports of the workers' pages: the one that is set and the next, or free ones.

    ``spare`` counts the ports in use by those that are to be followed.
    """
    asked = settings.worker_port
    remedy = "set another LOOKSTREAM_WORKER_PORT"
    return [_bindable("127.0.0.1", asked and asked + n + spare, remedy) for n in range(2)]


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
