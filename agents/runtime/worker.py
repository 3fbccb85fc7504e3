"""A worker process: any set of processors, watched, drained on a signal, and hard-stopped."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import structlog

from agents.runtime.compute import ComputePool
from agents.runtime.consumer import ProcessorConsumer
from agents.runtime.metrics import StageMetrics
from agents.runtime.watchdog import WatchdogLimits, stuck_reason

# How long an empty fetch may last on a broker that holds it to the full: a pure decision.
_SHARE = 8
"""A fetch may last this part of the longest batch."""


@dataclass
class FetchPace:
    """Shared by the consumers of a process: a record for one is soon a record for the next.

    Times are seconds of a monotonic clock. ``seen`` is when a record last came, ``took`` how long
    each consumer's last batch took.
    """

    busy_s: float = 0.025
    loaded_s: float = 0.15
    calm_s: float = 0.25
    calm_after_s: float = 5.0
    seen: float = float("-inf")
    took: dict[str, float] = field(default_factory=dict)

    def fetch_wait(self, now: float) -> float:
        """Return the seconds that an empty fetch may last."""
        if now - self.seen > self.calm_after_s:
            return self.calm_s
        longest = max(self.took.values(), default=0.0)
        return min(max(longest / _SHARE, self.busy_s), self.loaded_s)


log = structlog.get_logger()

EXIT_STUCK = 70
EXIT_NOT_DRAINED = 75
HANGING = 4
"""How many hanging threads, for each that works, a process may carry along."""


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
        self._pools = pools
        self._metrics = metrics or StageMetrics()
        self._limits = limits or WatchdogLimits()
        self._drain_s = drain_s
        self._stop = asyncio.Event()
        self._started: set[str] = set()
        self._began = self._beat = time.monotonic()
        self._ended = threading.Event()
        self._pace = FetchPace()
        for consumer in self.consumers:
            consumer.on_record = self._hurry
            consumer.on_batch = self._note_batch
            self._metrics.watch(consumer.processor.name, consumer.in_hand, consumer.waiting_for)

    def stop(self) -> None:
        """Begin to drain; a signal handler may call this."""
        self._stop.set()

    def not_ready(self) -> Mapping[str, str]:
        """Return a reason for each processor that cannot work now."""
        reasons = {}
        for consumer in self.consumers:
            name = consumer.processor.name
            if name not in self._started:
                reasons[name] = "starting"
            elif consumer.processor.waiting_for:
                reasons[name] = consumer.processor.waiting_for
            elif not consumer.assigned:
                reasons[name] = "no partitions assigned"
        return reasons

    async def run(self) -> None:
        """Start, work until `stop` or a crash, drain. Raises what crashed a consumer."""
        self._began = self._beat = time.monotonic()
        threading.Thread(target=self._watch_loop, daemon=True).start()
        watch = asyncio.create_task(self._watch())
        beating = asyncio.create_task(self._keep_beating())
        try:
            await self._until_stopped()
        finally:
            watch.cancel()
            await self._drain()
            beating.cancel()
            self._ended.set()

    async def _until_stopped(self) -> None:
        stop = asyncio.create_task(self._stop.wait())
        start = asyncio.gather(*(self._start(consumer) for consumer in self.consumers))
        first: set[asyncio.Future[Any]] = {stop, start}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            start.cancel()
            return
        start.result()
        log.info("worker_ready", stages=[r.processor.name for r in self.consumers])
        ends = [asyncio.create_task(consumer.wait()) for consumer in self.consumers]
        done, _ = await asyncio.wait({stop, *ends}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stop, *ends):
            if task not in done:
                task.cancel()
        for task in done:
            task.result()

    async def _start(self, consumer: ProcessorConsumer) -> None:
        await consumer.start()
        self._started.add(consumer.processor.name)

    async def _drain(self) -> None:
        """Give the batches in hand their time; past it, leave hard: they will be redelivered."""
        began = [
            consumer for consumer in self.consumers if consumer.processor.name in self._started
        ]
        drains = [asyncio.create_task(consumer.drain()) for consumer in began]
        if drains:
            _, late = await asyncio.wait(drains, timeout=self._drain_s)
            if late:
                log.warning("drain_timed_out", consumers=len(late))
                os._exit(EXIT_NOT_DRAINED)
        log.info("worker_stopped")

    def _hurry(self) -> None:
        """A record came: let every consumer of this process look for the next ones often."""
        now = time.monotonic()
        calm = self._pace.fetch_wait(now) == self._pace.calm_s
        self._pace.seen = now
        if calm:
            self._pace.took.clear()
            self._set_fetch_wait(self._pace.fetch_wait(now))

    def _note_batch(self, name: str, took_s: float) -> None:
        """A batch is done: the longer batches take, the less often the broker need be asked."""
        before = self._pace.fetch_wait(time.monotonic())
        self._pace.took[name] = took_s
        after = self._pace.fetch_wait(time.monotonic())
        if after != before:
            self._set_fetch_wait(after)

    def _set_fetch_wait(self, seconds: float) -> None:
        for consumer in self.consumers:
            consumer.set_fetch_wait(seconds)

    async def _watch(self) -> None:
        while True:
            self._set_fetch_wait(self._pace.fetch_wait(time.monotonic()))
            await asyncio.sleep(min(5.0, self._limits.stalled_s / 4))
            for pool in self._pools():
                if pool.abandoned > HANGING * pool.threads:
                    self._give_up(f"{pool.abandoned} threads hang")
            for consumer in self.consumers:
                await self._judge(consumer)

    async def _judge(self, consumer: ProcessorConsumer) -> None:
        if consumer.processor.name not in self._started:
            if time.monotonic() - self._began > self._limits.unassigned_s:
                self._give_up("never joined its group", consumer.processor.name)
            return
        try:
            status = await consumer.status()
        except Exception as error:  # noqa: BLE001 - no broker, no stuck_reason
            log.debug("lag_unavailable", error=repr(error))
            return
        self._metrics.watched(consumer.processor.name, status)
        if reason := stuck_reason(status, self._limits):
            self._give_up(reason, consumer.processor.name)

    async def _keep_beating(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(self._limits.blocked_s / 10)

    def _watch_loop(self) -> None:
        """From a thread: a blocked loop cannot report itself."""
        while not self._ended.wait(self._limits.blocked_s / 10):
            if time.monotonic() - self._beat > self._limits.blocked_s:
                self._give_up("the event loop is blocked")

    def _give_up(self, reason: str, stage: str = "") -> NoReturn:
        """End the process, for its supervisor to start anew."""
        log.error("worker_stuck", stage=stage, reason=reason)
        os._exit(EXIT_STUCK)
