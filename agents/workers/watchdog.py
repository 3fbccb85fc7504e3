"""Ends the process when it is stuck, so that its supervisor starts a new one.

Stuck means: a consumer has no partitions or makes no progress although records wait, too many
compute threads hang, or the event loop is blocked. Faust can leave its consumer group without an
error, so a check from outside is needed.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

import structlog

from agents.runtime.compute import ComputePool
from agents.runtime.metrics import StageMetrics

log = structlog.get_logger()

EXIT_STUCK = 70
HANGING = 4
"""The process ends if more than this many threads hang for each working thread of a pool."""


@dataclass(frozen=True)
class ConsumerStatus:
    """A consumer's assignment and progress now.

    Times are seconds of a monotonic clock; ``lag`` is in records. ``step_limit_s`` is the longest
    time that the current round may take when every try times out.
    """

    now: float
    assigned: int
    last_assigned: float
    lag: int
    last_progress: float
    waiting: bool
    step_limit_s: float = 0.0


@dataclass(frozen=True)
class WatchdogLimits:
    """Seconds without partitions, without progress under lag, and with a blocked event loop."""

    unassigned_s: float = 120.0
    stalled_s: float = 300.0
    blocked_s: float = 60.0


def stuck_reason(status: ConsumerStatus, limits: WatchdogLimits) -> str | None:
    """Return why the consumer is stuck, or None. Waiting for a dependency is not stuck."""
    if status.waiting:
        return None
    if not status.assigned:
        without = status.now - status.last_assigned
        return f"no partitions for {without:.0f} s" if without > limits.unassigned_s else None
    still = status.now - status.last_progress
    if status.lag and still > limits.stalled_s + status.step_limit_s:
        return f"no progress for {still:.0f} s with {status.lag} records waiting"
    return None


class WatchedConsumer(Protocol):
    """What the watchdog reads of an `agents.workers.consumer.ProcessorConsumer`."""

    @property
    def name(self) -> str: ...

    @property
    def started(self) -> bool: ...

    async def status(self) -> ConsumerStatus: ...


class Watchdog:
    """Checks the consumers and pools from the event loop, and the event loop from a thread."""

    def __init__(
        self,
        consumers: Sequence[WatchedConsumer],
        *,
        pools: Callable[[], Iterable[ComputePool]],
        metrics: StageMetrics,
        limits: WatchdogLimits,
    ) -> None:
        self._consumers = consumers
        self._pools = pools
        self._metrics = metrics
        self._limits = limits
        self._began = self._heartbeat = time.monotonic()
        self._stopped = threading.Event()
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the check of the event loop."""
        self._began = self._heartbeat = time.monotonic()
        threading.Thread(target=self._check_event_loop, name="watchdog", daemon=True).start()
        self._beating = asyncio.create_task(self._beat())

    def stop(self) -> None:
        """Stop the check of the event loop."""
        if self._beating is not None:
            self._beating.cancel()
        self._stopped.set()

    async def run(self) -> None:
        """Check the consumers and pools every few seconds, without end."""
        while True:
            await asyncio.sleep(min(5.0, self._limits.stalled_s / 4))
            for pool in self._pools():
                if pool.abandoned > HANGING * pool.threads:
                    _exit(f"{pool.abandoned} threads hang")
            for consumer in self._consumers:
                await self._check(consumer)

    async def _check(self, consumer: WatchedConsumer) -> None:
        if not consumer.started:
            if time.monotonic() - self._began > self._limits.unassigned_s:
                _exit("never joined its group", consumer.name)
            return
        try:
            status = await consumer.status()
        except Exception as error:  # noqa: BLE001 - without a broker there is nothing to check
            log.debug("lag_unavailable", stage=consumer.name, error=repr(error))
            return
        self._metrics.set_progress(
            consumer.name, lag=status.lag, idle_s=status.now - status.last_progress
        )
        if reason := stuck_reason(status, self._limits):
            _exit(reason, consumer.name)

    async def _beat(self) -> None:
        while True:
            self._heartbeat = time.monotonic()
            await asyncio.sleep(self._limits.blocked_s / 10)

    def _check_event_loop(self) -> None:
        while not self._stopped.wait(self._limits.blocked_s / 10):
            if time.monotonic() - self._heartbeat > self._limits.blocked_s:
                _exit("the event loop is blocked")


def _exit(reason: str, stage: str = "") -> NoReturn:
    log.error("worker_stuck", stage=stage, reason=reason)
    os._exit(EXIT_STUCK)
