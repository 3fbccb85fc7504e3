"""Ids of events: what a listener hands back, or anything else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.live.event_stream import JobEventId, TimeEventId

NONSENSE = ["", "x", "-1", "1.", ".1", "1.2.3", " 1.2", "1e3", "9" * 40, "٣", "1\n"]


def test_a_state_of_a_job_comes_back_as_it_went() -> None:
    mark = JobEventId(2, 17)
    assert JobEventId.parse(str(mark)) == mark


def test_a_higher_run_is_later() -> None:
    assert JobEventId(1, 9) < JobEventId(1, 10) < JobEventId(2, 1)


def test_a_moment_comes_back_as_it_went() -> None:
    mark = TimeEventId.now()
    assert TimeEventId.parse(str(mark)) == mark
    assert abs((mark.at - datetime.now(UTC)).total_seconds()) < 60


@pytest.mark.parametrize("text", NONSENSE)
def test_anything_else_is_no_id(text: str) -> None:
    assert JobEventId.parse(text) is None
    assert TimeEventId.parse(text) is None


def test_every_moment_that_is_taken_can_be_told() -> None:
    for text in ("0", "9" * 13):
        mark = TimeEventId.parse(text)
        assert mark is not None
        assert mark.at.tzinfo is UTC
