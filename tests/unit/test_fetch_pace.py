"""The duration of fetches on the embedded broker."""

from __future__ import annotations

from agents.workers.worker import FetchPace


def test_fetches_are_long_until_a_record_comes_and_after_a_pause() -> None:
    pace = FetchPace(busy_s=0.02, calm_s=0.2, calm_after_s=5.0)
    assert pace.fetch_wait(now=100.0) == 0.2
    pace.last_record = 100.0
    assert pace.fetch_wait(now=104.9) == 0.02
    assert pace.fetch_wait(now=105.1) == 0.2


def test_longer_batches_allow_longer_fetches() -> None:
    pace = FetchPace(busy_s=0.02, loaded_s=0.1, last_record=100.0)
    pace.took["pose"] = 0.08
    assert pace.fetch_wait(now=100.0) == 0.02
    pace.took["pose"] = 0.4
    assert pace.fetch_wait(now=100.0) == 0.05
    pace.took["tracking"] = 0.01
    assert pace.fetch_wait(now=100.0) == 0.05
    pace.took["pose"] = 9.0
    assert pace.fetch_wait(now=100.0) == 0.1
