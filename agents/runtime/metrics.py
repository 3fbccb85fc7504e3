"""A worker's Prometheus metrics, each labelled by stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

WORK_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
WAIT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
OUR_FAULTS = ("stage-error", "stage-timeout")

_STAGE = ("stage",)


class StageMetrics:
    """Counters, gauges and histograms in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.received = self._counter("received", "Records read")
        self.computed = self._counter("computed", "Results computed")
        self.reused = self._counter("reused", "Results taken from the cache")
        self.fallbacks = self._counter(
            "stopgaps", "Computed results that are fallbacks and are not cached"
        )
        self.failed = self._counter("failed", "Failures published", ("stage", "code"))
        self.retries = self._counter("retries", "Tries after the first")
        self.dead_letters = self._counter("dead_letters", "Records dead-lettered")
        self.holding = self._gauge("holding", "1 while the stage waits for a dependency")
        self.lag = self._gauge("lag", "Records of the stage's topics that are not processed yet")
        self.in_hand = self._gauge("in_hand", "Records of the current batch")
        self.progress = self._gauge(
            "last_progress_timestamp_seconds", "When the stage last finished work or had no lag"
        )
        self.work = self._histogram(
            "work_seconds", "Time of one batch, publishing included", WORK_S
        )
        self.queue_wait = self._histogram(
            "queue_wait_seconds", "From the event's time to the start of its batch", WAIT_S
        )
        self.batch_size = self._histogram("batch_size", "Events of one batch", SIZES)

    def initialise(self, stage: str, *, computes: bool = False) -> None:
        """Export the stage's counters and histograms with 0: Prometheus does not see the first
        increase of a counter that did not exist before. ``computes``: the stage has results."""
        counters = [self.received, self.retries, self.dead_letters]
        if computes:
            counters += [self.computed, self.reused, self.fallbacks]
        for each in (*counters, self.work, self.queue_wait, self.batch_size):
            each.labels(stage)
        for code in OUR_FAULTS:
            self.failed.labels(stage, code)

    @contextmanager
    def batch(self, stage: str, times: Sequence[datetime]) -> Iterator[None]:
        """Measure one batch; ``times`` are the times of its events."""
        began = time.perf_counter()
        now = datetime.now(UTC)
        for at in times:
            self.queue_wait.labels(stage).observe(max(0.0, (now - at).total_seconds()))
        if times:
            self.batch_size.labels(stage).observe(len(times))
        yield
        if times:
            self.work.labels(stage).observe(time.perf_counter() - began)

    def set_progress(self, stage: str, *, lag: int, idle_s: float) -> None:
        """Set the lag, and the last progress to ``idle_s`` seconds ago."""
        self.lag.labels(stage).set(lag)
        self.progress.labels(stage).set(time.time() - idle_s)

    def observe(
        self, stage: str, in_hand: Callable[[], int], waiting_for: Callable[[], str | None]
    ) -> None:
        """Set the functions that return the gauges ``in_hand`` and ``holding`` at each scrape."""
        self.in_hand.labels(stage).set_function(in_hand)
        self.holding.labels(stage).set_function(lambda: float(bool(waiting_for())))

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = _STAGE) -> Counter:
        return Counter(_named(name), text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(_named(name), text, _STAGE, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(_named(name), text, _STAGE, buckets=buckets, registry=self.registry)


def _named(name: str) -> str:
    return f"lookstream_stage_{name}"
