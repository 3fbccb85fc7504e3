"""A new model without a gap: at SIGHUP a worker loads its networks and the vocabulary anew, and the
old ones go on until the new ones are ready."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog

from lookstream.stage_wiring import SEEING
from lookstream.worker_wiring import WorkerParts

log = structlog.get_logger()


def on_hangup(call: asyncio.Event) -> None:
    """Set ``call`` at each SIGHUP, but on a terminal: there it says that the window is closed."""
    if not os.isatty(0):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, call.set)


async def renew_when(asked: asyncio.Event, parts: WorkerParts) -> None:
    """Renew the stages that look through the networks whenever ``asked`` is set, for ever."""
    names = [name for name in parts.loading if name in SEEING]
    while True:
        await asked.wait()
        asked.clear()
        if names:
            await _renew(names, parts)
        else:
            log.info("nothing to renew", action="renew")


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
        log.error("not renewed", action="renew", reason=str(error))
        return
    for stage, processor in loaded:
        parts.loading[stage.name].become(processor)
    log.info("renewed", action="renew", versions={stage.name: stage.version for stage, _ in loaded})
