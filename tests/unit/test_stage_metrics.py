"""A stage's metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.runtime.metrics import StageMetrics
from agents.stages.errors import Rejected
from agents.stages.stage import FallbackResult, one_by_one
from tests.sewing import SEW, Sewing, Sewn, cut, raising


@pytest.fixture
def sewing(tmp_path: Path) -> Iterator[Sewing]:
    sewing = Sewing(tmp_path)
    yield sewing
    sewing.pool.close()


def value(metrics: StageMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(
        f"lookstream_stage_{name}", {"stage": "sewing", **labels}
    )


async def test_batches_are_measured_and_counted(sewing: Sewing) -> None:
    sewing.stage_facts = {"batch": 2}
    await sewing.process(SEW, cut(1), cut(2), cut(3))
    metrics = sewing.metrics
    assert value(metrics, "received_total") == value(metrics, "computed_total") == 3
    assert (value(metrics, "batch_size_count"), value(metrics, "batch_size_sum")) == (2, 3)
    assert value(metrics, "work_seconds_count") == 2
    assert value(metrics, "queue_wait_seconds_count") == 3
    waited = value(metrics, "queue_wait_seconds_sum")
    assert waited is not None
    assert 0 <= waited < 60

    await sewing.process(SEW, cut(1), cut(2))
    assert value(metrics, "reused_total") == 2
    assert value(metrics, "batch_size_count") == 3


async def test_fallback_results_are_counted(sewing: Sewing) -> None:
    await sewing.process(
        one_by_one(lambda event, artifacts: FallbackResult(Sewn(seam="a pin"))), cut(1)
    )
    assert value(sewing.metrics, "stopgaps_total") == value(sewing.metrics, "computed_total") == 1


async def test_failures_are_counted_by_code(sewing: Sewing) -> None:
    await sewing.process(raising(Rejected("too-thin", "Thin."), 1), cut(1), cut(2))
    await sewing.process(raising(OSError("/secret"), 3), cut(3))
    metrics = sewing.metrics
    assert value(metrics, "failed_total", code="too-thin") == 1
    assert value(metrics, "failed_total", code="stage-error") == 1
    assert value(metrics, "retries_total") == 2
    assert value(metrics, "dead_letters_total") == 1


def test_all_metrics_start_at_zero() -> None:
    metrics = StageMetrics()
    metrics.initialise("sewing", computes=True)
    for name in ("received", "computed", "reused", "stopgaps", "retries", "dead_letters"):
        assert value(metrics, f"{name}_total") == 0
    for name in ("work_seconds", "queue_wait_seconds", "batch_size"):
        assert value(metrics, f"{name}_count") == 0
    assert value(metrics, "failed_total", code="stage-error") == 0


@pytest.mark.parametrize(("ago_s", "at_most"), [(20.0, 30), (0.3, 0.5), (-3600.0, 0.005)])
def test_the_wait_is_from_the_event_s_time(ago_s: float, at_most: float) -> None:
    """An event from a producer whose clock is ahead has a wait of 0."""
    metrics = StageMetrics()
    with metrics.batch("sewing", [datetime.now(UTC) - timedelta(seconds=ago_s)]):
        pass
    assert value(metrics, "queue_wait_seconds_bucket", le=f"{float(at_most)}") == 1
    if ago_s > 0:
        assert value(metrics, "queue_wait_seconds_bucket", le="0.25") == 0


def test_an_empty_batch_is_not_counted() -> None:
    metrics = StageMetrics()
    metrics.initialise("sewing")
    with metrics.batch("sewing", []):
        pass
    assert value(metrics, "batch_size_count") == value(metrics, "work_seconds_count") == 0


def test_lag_progress_and_waiting_are_exported() -> None:
    metrics = StageMetrics()
    metrics.set_progress("sewing", lag=17, idle_s=90.0)
    waits: list[str | None] = [None]
    metrics.observe("sewing", lambda: 5, lambda: waits[0])
    assert (value(metrics, "lag"), value(metrics, "in_hand")) == (17, 5)
    assert value(metrics, "holding") == 0
    waits[0] = "the store is away"
    assert value(metrics, "holding") == 1
    progress = value(metrics, "last_progress_timestamp_seconds")
    assert progress == pytest.approx(time.time() - 90, abs=5)
