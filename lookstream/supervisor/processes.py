"""A new model without a gap: at SIGHUP a worker loads its networks and the vocabulary anew, and the
old ones go on until the new ones are ready."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn

import structlog

from lookstream.errors import UnsafeBind
from lookstream.settings import Settings
from lookstream.telemetry import open_telemetry
from lookstream.wiring import gateway as wiring
from lookstream.wiring import workers as worker_wiring
from lookstream.wiring.stages import NETWORK_STAGES
from lookstream.wiring.workers import WorkerParts
from streams.broker.connection import BrokerUrl

# The two kinds of processes: a gateway and a worker. Each runs until it is told to stop.
log = structlog.get_logger()

CATCH_UP_S = 10.0
ATTENDED = "LOOKSTREAM_ATTENDED"
RESTARTED = "LOOKSTREAM_RESTARTED"
"""Set by `up` for its children: that it watches them, and that one of them died before."""

SWITCH_S = 0.0005
"""How long one thread may keep the interpreter from the others. An upload's thread comes back from
a dozen system calls, and would wait Python's 5 ms each time while the event loop is busy."""


def run_gateway(settings: Settings, *, insecure: bool = False) -> None:
    """Serve the REST API and the page until SIGTERM or SIGINT. Raises `UnsafeBind`."""
    import uvicorn

    from gateway.server import GatewayServer

    check_bind(settings, insecure=insecure)
    one_thread_each()
    _stop_with_parent()
    sys.setswitchinterval(SWITCH_S)
    telemetry = open_telemetry(settings.otlp, "lookstream-gateway")
    app = wiring.build_gateway(settings, telemetry)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=30,
    )
    try:
        GatewayServer(config, app.state.end_streams).run()
    finally:
        telemetry.close()


def check_bind(settings: Settings, *, insecure: bool) -> None:
    """Raise `UnsafeBind` where others could reach the gateway and nobody said that they may."""
    from gateway.http.host_check import is_loopback

    if not insecure and not is_loopback(settings.host):
        raise UnsafeBind(
            f"{settings.host} can be reached by others and there is no authentication yet; "
            "bind 127.0.0.1, or say --insecure if you mean it"
        )


def run_worker(settings: Settings, names: Sequence[str]) -> None:
    """Play the named stages until SIGTERM or SIGINT; all when empty. Raises `UnknownStage`."""
    one_thread_each()
    asyncio.run(_work(settings, names))


def one_thread_each() -> None:
    """Tell numeric libraries, before they load, to keep to one thread: parallelism comes
    from several photos, or several requests, at a time."""
    for name in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{name}_NUM_THREADS", "1")
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")


async def _work(settings: Settings, names: Sequence[str]) -> None:
    from agents.runtime.health import HealthServer

    telemetry = open_telemetry(settings.otlp, "lookstream-worker")
    # In this loop's thread: Faust keeps the loop.
    parts = worker_wiring.build_worker(settings, names, telemetry)
    worker, warming = parts.worker, dict.fromkeys(parts.loading, "loading")
    hangup = asyncio.Event()
    on_hangup(hangup)  # before the page answers: who sees it may send one
    health = HealthServer(
        settings.worker_host,
        settings.worker_port,
        lambda: {**warming, **worker.not_ready()},
        parts.metrics.registry,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    _stop_with_parent()
    parts.deleted.start()
    beside = [asyncio.create_task(_load_and_renew(parts, warming, hangup))]
    if parts.announce:
        beside.append(asyncio.create_task(_announce(parts.announce)))
    if parts.sweeper:
        # A new embedded broker has forgotten everything: sweep all of it now.
        forgotten = BrokerUrl.parse(settings.kafka).embedded and RESTARTED not in os.environ
        age = 0.0 if forgotten else settings.sweep_after_s
        beside.append(asyncio.create_task(parts.sweeper.run(at_start_s=age)))
    for task in beside:
        task.add_done_callback(_crash_with)
    try:
        await worker.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the process ends with it
        _crash(error)
    finally:
        for task in beside:
            task.cancel()
        health.close()
        parts.deleted.stop()
        parts.pool.close()
        parts.producer.close()
        telemetry.close()
    sys.stderr.flush()
    # Faust's tasks and mediapipe's threads may linger; what counts is acknowledged by now.
    os._exit(0)


def _crash_with(task: asyncio.Task[None]) -> None:
    """End the process when what runs beside the worker fails: nobody else would notice."""
    if not task.cancelled() and (error := task.exception()):
        _crash(error)


def _crash(error: BaseException) -> NoReturn:
    """End at once, for the supervisor to start anew: Python would wait for every thread, and one
    that hangs may be why we are here."""
    log.error("process_crashed", exc_info=error)
    sys.stderr.flush()
    os._exit(1)


async def _load(parts: worker_wiring.WorkerParts, warming: dict[str, str]) -> None:
    """Load the stages while their groups are joined, and what they load late before a photo
    pays for it."""
    loaded = await asyncio.to_thread(parts.load)
    # What was deleted while no worker ran: else its queued events would be computed now.
    await asyncio.to_thread(parts.deleted.caught_up, CATCH_UP_S)
    for stage, processor in loaded:
        parts.loading[stage.name].switch_to(processor)
    for stage, _ in loaded:
        if stage.warm_up:
            await asyncio.to_thread(stage.warm_up)
        del warming[stage.name]


async def _load_and_renew(
    parts: worker_wiring.WorkerParts, warming: dict[str, str], hangup: asyncio.Event
) -> None:
    await _load(parts, warming)
    await renew_when(hangup, parts)


async def _announce(announce: Callable[[], None]) -> None:
    """Have the store tell of uploads, as soon as it is there. An account that may not change the
    bucket goes on asking in vain, at long intervals; whoever made the bucket may have said it."""
    from storage.errors import StorageError

    pause = 1.0
    while True:
        try:
            return await asyncio.to_thread(announce)
        except StorageError as error:
            log.warning("notifications_not_configured", reason=str(error))
        await asyncio.sleep(pause)
        pause = min(pause * 4, 3600.0)


def _stop_with_parent() -> None:
    """Under `up`, stop when standard input ends: the supervisor is gone, even by SIGKILL."""
    if os.environ.get(ATTENDED) != "1":
        return

    def attend() -> None:
        while os.read(0, 1):  # nothing is ever sent: it ends when the supervisor does
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=attend, name="attend", daemon=True).start()


def on_hangup(call: asyncio.Event) -> None:
    """Set ``call`` at each SIGHUP, but on a terminal: there it says that the window is closed."""
    if not os.isatty(0):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, call.set)


async def renew_when(asked: asyncio.Event, parts: WorkerParts) -> None:
    """Renew the stages that look through the networks whenever ``asked`` is set, for ever."""
    names = [name for name in parts.loading if name in NETWORK_STAGES]
    while True:
        await asked.wait()
        asked.clear()
        if names:
            await _renew(names, parts)
        else:
            log.info("reload_skipped")


async def _renew(names: list[str], parts: WorkerParts) -> None:
    """Load the stages again, warm them up, and only then hand over; batches end where they began.

    What cannot be loaded changes nothing.
    """
    try:
        loaded = await asyncio.to_thread(parts.load_anew, names)
        for stage, _ in loaded:
            if stage.warm_up:
                await asyncio.to_thread(stage.warm_up)
    except Exception as error:  # noqa: BLE001 - a file that was changed: anything may be in it
        log.error("reload_failed", reason=str(error))
        return
    for stage, processor in loaded:
        parts.loading[stage.name].switch_to(processor)
    log.info("reloaded", versions={stage.name: stage.version for stage, _ in loaded})
