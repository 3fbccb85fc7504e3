"""Documents of other versions are readable, and times sort as text."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import StorageError
from storage.jobs.documents import (
    cursor_after,
    job_document,
    job_from_document,
    parse_cursor,
    parse_time,
    readable_jobs,
    timestamp,
)
from storage.jobs.store import StageCompleted, StageError, StageFailure, Submitted
from storage.jobs.transition import fold

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
JOB = fold(
    None,
    [
        Submitted("job", 2, NOON, {"object": "incoming/job"}, ("a", "b"), "bulk", "ann", "album"),
        StageCompleted("job", 2, NOON, "a", {"x": [1]}, ("a", "b"), started_at=NOON, reused=True),
        StageFailure("job", 2, NOON, StageError("b", "error", "c", "m"), ("a", "b"), ("a",)),
    ],
)
assert JOB is not None

TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))


def test_a_job_comes_back_from_its_document() -> None:
    assert job_from_document(job_document(JOB)) == JOB


def test_fields_of_a_newer_version_are_ignored_at_every_depth() -> None:
    doc = job_document(JOB)
    for part in (doc, doc["error"], doc["stages"]["a"], doc["stages"]["b"]["error"]):
        part["from_the_future"] = {"x": 1}
    assert job_from_document(doc) == JOB


def test_fields_that_an_older_version_did_not_write_have_their_defaults() -> None:
    doc = job_document(JOB)
    for name in ("error", "revision"):
        del doc[name]
    for name in ("blocks", "reused", "error", "started_at"):
        del doc["stages"]["b"][name]
    old = job_from_document(doc)
    assert (old.error, old.revision) == (None, 0)
    assert (old.stages["b"].blocks, old.stages["b"].reused) == ((), False)


@given(TIMES, TIMES)
def test_times_sort_as_text_and_round_trip(one: datetime, other: datetime) -> None:
    assert parse_time(timestamp(one)) == one
    assert (str(timestamp(one)) < str(timestamp(other))) == (one < other)


def test_a_time_of_another_zone_is_kept_in_utc() -> None:
    local = NOON.astimezone(timezone(timedelta(hours=-9)))
    assert timestamp(local) == "2026-01-02T12:00:00.000000+00:00"


def test_a_cursor_names_a_position() -> None:
    doc = job_document(JOB)
    assert parse_cursor(cursor_after(doc)) == (doc["sort_at"], "job")
    assert "=" not in cursor_after(doc)


@pytest.mark.parametrize("field", ["job_id", "wanted", "stages", "updated_at", "status"])
@pytest.mark.parametrize("value", [None, 7, "no", [1], {"a": 1}])
def test_an_unreadable_document_raises_nothing_else(field: str, value: object) -> None:
    with suppress(StorageError):
        job_from_document({**job_document(JOB), field: value})


def test_an_unreadable_document_does_not_hide_the_others() -> None:
    good = job_document(JOB)
    assert readable_jobs([good, {}, {**good, "stages": 7}, good]) == (JOB, JOB)
