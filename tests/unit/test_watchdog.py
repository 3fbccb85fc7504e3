"""The conditions under which a consumer is stuck."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.workers.watchdog import ConsumerStatus, WatchdogLimits, stuck_reason

LIMITS = WatchdogLimits(unassigned_s=120.0, stalled_s=300.0)
WELL = ConsumerStatus(
    now=1000.0, assigned=4, last_assigned=1000.0, lag=0, last_progress=1000.0, waiting=False
)

FINE = {
    "idle": WELL,
    "idle for long": replace(WELL, last_progress=0.0),
    "working": replace(WELL, lag=5000, last_progress=999.0),
    "slow": replace(WELL, lag=5000, last_progress=700.0),
    "between two assignments": replace(WELL, assigned=0, last_assigned=880.0),
    "waiting for a store": replace(WELL, lag=9, last_progress=0.0, waiting=True),
    "waiting for a store, without partitions": replace(
        WELL, assigned=0, last_assigned=0.0, waiting=True
    ),
    "in a batch that may take long": replace(WELL, lag=9, last_progress=100.0, step_limit_s=600.0),
}
STUCK = {
    "no partitions for 121 s": replace(WELL, assigned=0, last_assigned=879.0),
    "no progress for 301 s with 9 records waiting": replace(WELL, lag=9, last_progress=699.0),
    "no progress for 901 s with 1 records waiting": replace(
        WELL, lag=1, last_progress=99.0, step_limit_s=600.0
    ),
}


@pytest.mark.parametrize("case", FINE)
def test_these_consumers_are_not_stuck(case: str) -> None:
    assert stuck_reason(FINE[case], LIMITS) is None


@pytest.mark.parametrize("reason", STUCK)
def test_stuck_consumers_have_a_reason(reason: str) -> None:
    assert stuck_reason(STUCK[reason], LIMITS) == reason
