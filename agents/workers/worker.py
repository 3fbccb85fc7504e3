"""A worker process: runs consumers side by side, drains them on a signal, adapts their fetches."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from agents.runtime.compute import ComputePool
from agents.runtime.metrics import StageMetrics
from agents.workers.consumer import ProcessorConsumer
from agents.workers.watchdog import Watchdog, WatchdogLimits

log = structlog.get_logger()

EXIT_NOT_DRAINED = 75
WITHDRAW_S = 1.0
SHARE = 8
"""While records arrive, an empty fetch lasts 1/8 of the longest latest batch, but at least
`FetchPace.busy_s` and at most `FetchPace.loaded_s`."""


@dataclass
class FetchPace:
    """How long an empty fetch may last on the embedded broker, for all consumers of a process.

    The embedded broker holds every empty fetch for its full duration, so a long fetch delays the
    next record and a short fetch costs CPU. Times are seconds of a monotonic clock. ``last_record``
    is the time of the latest record; ``took`` is the duration of each consumer's latest batch.
    """

    busy_s: float = 0.025
    loaded_s: float = 0.15
    calm_s: float = 0.25
    calm_after_s: float = 5.0
    last_record: float = float("-inf")
    took: dict[str, float] = field(default_factory=dict)

    def fetch_wait(self, now: float) -> float:
        """Return the seconds that an empty fetch may last."""
        if now - self.last_record > self.calm_after_s:
            return self.calm_s
        longest = max(self.took.values(), default=0.0)
        return min(max(longest / SHARE, self.busy_s), self.loaded_s)


class Worker:
    """Runs consumers until `stop`; a stuck consumer ends the process with exit code 70."""

    def __init__(
        self,
        consumers: Sequence[ProcessorConsumer],
        *,
        pools: Callable[[], Iterable[ComputePool]] = tuple,
        metrics: StageMetrics | None = None,
        limits: WatchdogLimits | None = None,
        drain_s: float = 6.0,
    ) -> None:
        self.consumers = list(consumers)
        self._drain_s = drain_s
        self._stop = asyncio.Event()
        self._pace = FetchPace()
        metrics = metrics or StageMetrics()
        self._watchdog = Watchdog(
            self.consumers, pools=pools, metrics=metrics, limits=limits or WatchdogLimits()
        )
        for consumer in self.consumers:
            consumer.on_record = self._on_record
            consumer.on_batch = self._on_batch
            metrics.observe(consumer.name, consumer.in_hand, consumer.waiting_for)

    def stop(self) -> None:
        """Begin to drain; a signal handler may call this."""
        self._stop.set()

    def not_ready(self) -> Mapping[str, str]:
        """Return a reason for each processor that cannot work now."""
        reasons = {}
        for consumer in self.consumers:
            if not consumer.started:
                reasons[consumer.name] = "starting"
            elif reason := consumer.waiting_for():
                reasons[consumer.name] = reason
            elif not consumer.assigned:
                reasons[consumer.name] = "no partitions assigned"
        return reasons

    async def run(self) -> None:
        """Start, work until `stop` or a crash, drain. Raises the error that crashed a consumer."""
        self._watchdog.start()
        background = [
            asyncio.create_task(self._watchdog.run()),
            asyncio.create_task(self._slow_down()),
        ]
        try:
            await self._until_stopped()
        finally:
            for task in background:
                task.cancel()
            await self._drain()
            self._watchdog.stop()

    async def _until_stopped(self) -> None:
        stop = asyncio.create_task(self._stop.wait())
        start = asyncio.gather(*(consumer.start() for consumer in self.consumers))
        first: set[asyncio.Future[Any]] = {stop, start}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            start.cancel()
            return
        start.result()
        log.info("worker_ready", stages=[consumer.name for consumer in self.consumers])
        ends = [asyncio.create_task(consumer.wait()) for consumer in self.consumers]
        done, _ = await asyncio.wait({stop, *ends}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stop, *ends):
            if task not in done:
                task.cancel()
        for task in done:
            task.result()

    async def _drain(self) -> None:
        """Finish the current batches. After the limit, exit: the broker redelivers the rest."""
        drains = [asyncio.create_task(each.drain()) for each in self.consumers if each.started]
        if drains:
            _, late = await asyncio.wait(drains, timeout=self._drain_s)
            if late:
                log.warning("drain_timed_out", consumers=len(late))
                withdrawals = [asyncio.create_task(each.withdraw()) for each in self.consumers]
                await asyncio.wait(withdrawals, timeout=WITHDRAW_S)
                os._exit(EXIT_NOT_DRAINED)
        log.info("worker_stopped")

    # -- pace of fetches -------------------------------------------------------------------

    def _on_record(self) -> None:
        """Shorten the fetches of all consumers: one stage's result is the next stage's input."""
        now = time.monotonic()
        calm = self._pace.fetch_wait(now) == self._pace.calm_s
        self._pace.last_record = now
        if calm:
            self._pace.took.clear()
            self._set_fetch_wait(self._pace.fetch_wait(now))

    def _on_batch(self, name: str, took_s: float) -> None:
        """Adapt the fetches to the duration of batches."""
        before = self._pace.fetch_wait(time.monotonic())
        self._pace.took[name] = took_s
        after = self._pace.fetch_wait(time.monotonic())
        if after != before:
            self._set_fetch_wait(after)

    async def _slow_down(self) -> None:
        """Lengthen the fetches again when no record has come for a while."""
        while True:
            self._set_fetch_wait(self._pace.fetch_wait(time.monotonic()))
            await asyncio.sleep(5.0)

    def _set_fetch_wait(self, seconds: float) -> None:
        for consumer in self.consumers:
            consumer.set_fetch_wait(seconds)
