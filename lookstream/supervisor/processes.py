"""Runs one gateway process or one worker process until a signal stops it.

On SIGHUP a worker loads its networks and the vocabulary again. The old ones stay in use until the
new ones are ready.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

import structlog

from lookstream.errors import UnsafeBind
from lookstream.settings import Settings
from lookstream.telemetry import open_telemetry
from lookstream.wiring import gateway as wiring
from lookstream.wiring.stages import NETWORK_STAGES
from streams.broker.connection import BrokerUrl

if TYPE_CHECKING:
    from lookstream.wiring.workers import WorkerParts

log = structlog.get_logger()

CATCH_UP_S = 10.0
"""Limit of the wait for the deletions of the last day, before a worker computes."""
SUPERVISED = "LOOKSTREAM_SUPERVISED"
RESTARTED = "LOOKSTREAM_RESTARTED"
"""Environment variables that `up` sets for a child process. The first says that `up` supervises the
process; the second, that an earlier process in its place has finished its start."""

_PR_SET_DUMPABLE = 4
SWITCH_S = 0.0005
"""Python's switch interval in a gateway, in seconds. The thread of an upload makes a dozen system
calls. With the default interval, the thread would wait up to 5 ms after each call while the event
loop is busy."""


def run_gateway(settings: Settings, *, insecure: bool = False) -> None:
    """Serve the REST API and the pages until SIGTERM or SIGINT. Raises `UnsafeBind`."""
    from gateway.http.connections import ConnectionLimits
    from gateway.server import GatewayServer, raise_file_limit, server_config

    check_bind(settings, insecure=insecure)
    hide_memory()
    limit_numeric_threads()
    _stop_with_supervisor()
    sys.setswitchinterval(SWITCH_S)
    telemetry = open_telemetry(settings.otlp, "lookstream-gateway")
    app = wiring.build_gateway(settings, telemetry)
    limits = raise_file_limit(
        ConnectionLimits(
            connections=settings.connections,
            head_s=settings.head_timeout_s,
            body_s=settings.body_timeout_s,
        )
    )
    config = server_config(
        app, limits, host=settings.host, port=settings.port, timeout_graceful_shutdown=3
    )
    try:
        GatewayServer(config, app.state.end_streams).run()
    finally:
        telemetry.close()


def check_bind(settings: Settings, *, insecure: bool) -> None:
    """Raise `UnsafeBind` if other machines can reach the gateway, unless ``insecure``."""
    from gateway.http.host_check import is_loopback

    if not insecure and not is_loopback(settings.host):
        raise UnsafeBind(
            f"other machines can reach {settings.host}, and there is no authentication yet; "
            "bind 127.0.0.1, or pass --insecure to allow this"
        )


def run_worker(settings: Settings, names: Sequence[str]) -> None:
    """Run the named stages and processors until SIGTERM or SIGINT; run all if ``names`` is empty.

    Raises `UnknownStage` and `CannotStart`.
    """
    hide_memory()
    limit_numeric_threads()
    asyncio.run(_run_worker(settings, names))


def hide_memory() -> None:
    """Keep this process's memory and environment, which hold secrets, from the user's other
    processes: no debugger, no core dump, no reading of ``/proc/<pid>`` (Linux only)."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))


def limit_numeric_threads() -> None:
    """Limit numeric libraries to one thread; call before they load.

    Several photos or requests already run in parallel.
    """
    for name in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{name}_NUM_THREADS", "1")
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")


async def _run_worker(settings: Settings, names: Sequence[str]) -> None:
    from agents.inputs.confinement import supported
    from agents.workers.health import HealthServer
    from lookstream.wiring.workers import build_worker

    telemetry = open_telemetry(settings.otlp, "lookstream-worker")
    # In the event loop's thread, because Faust stores the current loop.
    parts = build_worker(settings, names, telemetry)
    worker, loading = parts.worker, dict.fromkeys(parts.loading, "loading")
    reload = asyncio.Event()
    on_hangup(reload)  # before the health server: `up` sends SIGHUP only to a worker that answers
    health = HealthServer(
        settings.worker_host,
        settings.worker_port,
        lambda: {**loading, **worker.not_ready()},
        parts.metrics.registry,
        {"decoder_sandbox": asdict(supported())},
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    _stop_with_supervisor()
    parts.deleted.start()
    background = [asyncio.create_task(_load_and_reload(parts, loading, reload))]
    if parts.announce:
        background.append(asyncio.create_task(_configure_notifications(parts.announce)))
    if parts.sweeper:
        # A new embedded broker is empty: submit all unfinished jobs now.
        empty = BrokerUrl.parse(settings.kafka).embedded and RESTARTED not in os.environ
        age = 0.0 if empty else settings.sweep_after_s
        background.append(asyncio.create_task(parts.sweeper.run(at_start_s=age)))
    for task in background:
        task.add_done_callback(_exit_on_failure)
    try:
        await worker.run()
    except Exception as error:  # noqa: BLE001 - every error ends the process
        _exit(error)
    finally:
        for task in background:
            task.cancel()
        health.close()
        parts.deleted.stop()
        parts.pool.close()
        parts.producer.close()
        telemetry.close()
    sys.stderr.flush()
    # Tasks of Faust and threads of mediapipe may still run; all finished work is committed.
    os._exit(0)


def _exit_on_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _exit(error)


def _exit(error: BaseException) -> NoReturn:
    """End the process at once; its supervisor starts a new one.

    A normal exit waits for every thread, and a hanging thread may be the cause of the error.
    """
    log.error("process_crashed", exc_info=error)
    sys.stderr.flush()
    os._exit(1)


async def _load_and_reload(
    parts: WorkerParts, loading: dict[str, str], reload: asyncio.Event
) -> None:
    """Load the stages while the worker joins its groups; then reload at each SIGHUP."""
    loaded = await asyncio.to_thread(parts.load)
    # Otherwise the worker would compute events of jobs that were deleted while no worker ran.
    await asyncio.to_thread(parts.deleted.caught_up, CATCH_UP_S)
    for name, (_, processor) in loaded.items():
        parts.loading[name].switch_to(processor)
    for name, (stage, _) in loaded.items():
        if stage.warm_up:
            await asyncio.to_thread(stage.warm_up)
        del loading[name]
    names = [name for name in parts.loading if name in NETWORK_STAGES]
    while True:
        await reload.wait()
        reload.clear()
        if names:
            await _reload(names, parts)
        else:
            log.info("reload_skipped")


async def _reload(names: list[str], parts: WorkerParts) -> None:
    """Load and warm up the stages, then switch to them. A failure changes nothing."""
    try:
        loaded = await asyncio.to_thread(parts.load_anew, names)
        for stage, _ in loaded.values():
            if stage.warm_up:
                await asyncio.to_thread(stage.warm_up)
    except Exception as error:  # noqa: BLE001 - a new file may raise anything
        log.error("reload_failed", reason=str(error))
        return
    for name, (_, processor) in loaded.items():
        parts.loading[name].switch_to(processor)
    log.info("reloaded", versions={name: stage.version for name, (stage, _) in loaded.items()})


async def _configure_notifications(configure: Callable[[], None]) -> None:
    """Make the store send upload notifications; retry at growing intervals.

    An account without the permission never succeeds; an administrator may have configured the
    notifications.
    """
    from storage.errors import StorageError

    pause = 1.0
    while True:
        try:
            return await asyncio.to_thread(configure)
        except StorageError as error:
            log.warning("notifications_not_configured", reason=str(error))
        await asyncio.sleep(pause)
        pause = min(pause * 4, 3600.0)


def _stop_with_supervisor() -> None:
    """Under `up`, stop when standard input ends: `up` is gone, even by SIGKILL."""
    if os.environ.get(SUPERVISED) != "1":
        return

    def wait_for_end() -> None:
        while os.read(0, 1):  # `up` sends nothing; the pipe ends with the `up` process
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait_for_end, name="supervisor", daemon=True).start()


def on_hangup(event: asyncio.Event) -> None:
    """Set ``event`` at each SIGHUP, except on a terminal: there SIGHUP ends the process."""
    if not os.isatty(0):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, event.set)
