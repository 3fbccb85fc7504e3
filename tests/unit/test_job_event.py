"""A JobEvent is the same from the broker's update and from the store's job."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from gateway.live.event_stream import JobEvent, JobEventId
from gateway.views.examples import JOB_EVENTS
from storage.jobs.store import StageCompleted, StageError, StageFailure, StageState, Submitted
from storage.jobs.transition import fold
from streams.events.codec import encode
from streams.events.models import JobUpdated

JOB = "01a20801-845d-768b-82dd-f448762e99cb"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WANTED = ("validation", "captioning")


def test_the_event_is_the_same_from_broker_and_store() -> None:
    error = StageError("captioning", "error", "timeout", "too slow", "secret")
    submitted = Submitted(JOB, 1, NOW, {"url": "http://a/b"}, WANTED, group="spring", owner="me")
    validated = StageCompleted(JOB, 1, NOW, "validation", {}, WANTED)
    job = fold(None, [submitted, validated, StageFailure(JOB, 1, NOW, error, WANTED)])
    assert job is not None
    event = JobEvent.from_job(job)
    assert event == JobEvent.from_update(JobUpdated.of_job(job))
    assert event.event_id == JobEventId(1, 3)
    assert event.final
    assert json.loads(event.model_dump_json()) == {
        "job_id": JOB,
        "status": "failed",
        "run": 1,
        "revision": 3,
        "group": "spring",
        "updated_at": "2026-01-02T03:04:05Z",
        "stages": {"validation": "completed", "captioning": "failed"},
        "error": {"stage": "captioning", "code": "timeout", "message": "too slow"},
    }


def test_an_unfinished_job_has_no_error() -> None:
    job = fold(None, [Submitted(JOB, 1, NOW, {"url": "http://a/b"}, WANTED)])
    assert job is not None
    event = JobEvent.from_job(job)
    assert not event.final
    assert "error" not in json.loads(event.model_dump_json())


def test_the_documented_example_is_a_valid_stream() -> None:
    data = [line[6:] for line in JOB_EVENTS.splitlines() if line.startswith("data: ")]
    assert len(data) == 2
    for line in data:
        assert JobEvent.model_validate_json(line).model_dump_json() == line


def test_a_job_stored_before_the_limits_has_a_shortened_event() -> None:
    job = fold(None, [Submitted(JOB, 1, NOW, {"url": "http://a/b"}, WANTED)])
    assert job is not None
    stages = {f"{n:03}" + "s" * 200: StageState("completed", 1) for n in range(500)}
    error = StageError("s" * 700_000, "error", "c" * 700_000, "m" * 700_000)
    old = replace(job, group="g" * 2_000_000, owner="o" * 2_000_000, stages=stages, error=error)
    event = JobUpdated.of_job(old)
    assert (len(event.group or ""), len(event.stages)) == (256, 200)
    assert len(encode(event, source="/tests").value or b"") < 100_000
