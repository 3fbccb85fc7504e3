"""What a worker tells Prometheus of its stages."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_WORK = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class StageMetrics:
    """Counters and histograms, each labelled by stage, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        stage = ("stage",)
        self.received = self._counter("received", "Records read", stage)
        self.computed = self._counter("computed", "Results computed", stage)
        self.reused = self._counter("reused", "Results taken from an earlier computation", stage)
        self.failed = self._counter("failed", "Failures published", ("stage", "code"))
        self.retries = self._counter("retries", "Tries after the first", stage)
        self.dead_letters = self._counter("dead_letters", "Records dead-lettered", stage)
        self.holding = Gauge(
            "lookstream_stage_holding",
            "1 while the stage waits for a dependency",
            stage,
            registry=self.registry,
        )
        self.work = Histogram(
            "lookstream_stage_work_seconds",
            "Time of one batch",
            stage,
            buckets=_WORK,
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"lookstream_stage_{name}", text, labels, registry=self.registry)
