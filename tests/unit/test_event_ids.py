"""Parsing of SSE event ids from clients."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.live.event_stream import JobEventId, TimeEventId

NONSENSE = ["", "x", "-1", "1.", ".1", "1.2.3", " 1.2", "1e3", "9" * 40, "٣", "1\n"]


def test_a_job_event_id_round_trips() -> None:
    event_id = JobEventId(2, 17)
    assert JobEventId.parse(str(event_id)) == event_id


def test_a_higher_run_is_greater_than_any_revision() -> None:
    assert JobEventId(1, 9) < JobEventId(1, 10) < JobEventId(2, 1)


def test_a_time_event_id_round_trips() -> None:
    event_id = TimeEventId.now()
    assert TimeEventId.parse(str(event_id)) == event_id
    assert abs((event_id.at - datetime.now(UTC)).total_seconds()) < 60


@pytest.mark.parametrize("text", NONSENSE)
def test_other_text_is_not_an_event_id(text: str) -> None:
    assert JobEventId.parse(text) is None
    assert TimeEventId.parse(text) is None


def test_every_accepted_time_is_a_valid_datetime() -> None:
    for text in ("0", "9" * 13):
        event_id = TimeEventId.parse(text)
        assert event_id is not None
        assert event_id.at.tzinfo is UTC
