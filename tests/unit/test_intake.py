"""Intake: each notification of an upload becomes one submission."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.metrics import StageMetrics
from agents.runtime.retry import RetryPolicy
from agents.tracking.notifications import IntakeProcessor, UploadedObject, uploaded_objects
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import Deleted, Submitted
from streams.broker.records import Record
from streams.events.models import Event, ImageSubmitted
from tests.publishing import MemoryPublisher

JOB = "01941f29-7c00-7000-8000-000000000001"
KEY = f"uploads/{JOB}"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def told(
    key: str, *, bucket: str = "lookstream", event: str = "s3:ObjectCreated:Put", etag: str = "e1"
) -> dict[str, Any]:
    s3 = {"bucket": {"name": bucket}, "object": {"key": key, "size": 7, "eTag": etag}}
    return {"eventName": event, "eventVersion": "2.0", "s3": s3}


def notification(*records: dict[str, Any]) -> bytes:
    return json.dumps({"EventName": "s3:ObjectCreated:Put", "Records": records}).encode()


def record(value: bytes | None) -> Record:
    return Record("object-created", 0, 7, b"lookstream/uploads", value)


# -- notifications ---------------------------------------------------------------------------


def test_only_new_objects_under_uploads_of_our_bucket_count() -> None:
    found = uploaded_objects(
        notification(
            told(KEY),
            told("uploads/a+b%2Fc.jpg", event="ObjectCreated:CompleteMultipartUpload", etag="e2"),
            told(KEY, event="s3:ObjectRemoved:Delete"),
            told("originals/x"),
            told(KEY, bucket="another"),
        ),
        "lookstream",
    )
    assert found == [UploadedObject(KEY, "e1"), UploadedObject("uploads/a b/c.jpg", "e2")]


def test_the_test_event_of_s3_is_no_upload() -> None:
    test = b'{"Service": "Amazon S3", "Event": "s3:TestEvent"}'
    assert uploaded_objects(test, "lookstream") == []


NONSENSE = [
    b"",
    b"\xff",
    b"[]",
    b"{}",
    b'{"Records": 1}',
    b'{"Records": [1]}',
    b'{"Records": [{}]}',
    notification({"eventName": 1, "s3": {}}),
]


@pytest.mark.parametrize("value", NONSENSE)
def test_an_invalid_notification_raises(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        uploaded_objects(value, "lookstream")


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.just("uploads/\ud800"),
    st.just([]), st.just({}), st.just([1]), st.just({"key": 1}),
)  # fmt: skip


@given(
    path=st.sampled_from([["eventName"], ["s3"], ["s3", "bucket"], ["s3", "object"],
                          ["s3", "object", "key"], ["s3", "object", "eTag"]]),
    value=values,
)  # fmt: skip
def test_any_other_value_in_a_notification_raises_nothing_else(path: list[str], value: Any) -> None:
    document = told(KEY)
    place: dict[str, Any] = document
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with suppress(ValueError):
        for each in uploaded_objects(notification(document), "lookstream"):
            assert each.job_id


def test_a_job_has_the_id_of_its_upload() -> None:
    assert UploadedObject(KEY, "e1").job_id == JOB


@pytest.mark.parametrize("name", ["dress.jpg", JOB.upper(), f"{JOB}/a", f"{{{JOB}}}", ""])
def test_any_other_name_makes_an_id_with_its_content(name: str) -> None:
    first = UploadedObject(f"uploads/{name}", "e1").job_id
    assert str(UUID(first)) == first != JOB
    assert UploadedObject(f"uploads/{name}", "e1").job_id == first
    assert UploadedObject(f"uploads/{name}", "e2").job_id != first


# -- the processor ---------------------------------------------------------------------------


@dataclass
class Intake:
    processor: IntakeProcessor
    jobs: SqliteJobs
    published: MemoryPublisher

    async def process(self, *values: bytes | None) -> list[Event]:
        before = len(self.published.events)
        await self.processor.process([record(value) for value in values])
        return self.published.events[before:]


@pytest.fixture
async def intake(tmp_path: Path) -> AsyncIterator[Intake]:
    jobs, published = SqliteJobs(tmp_path / "jobs.sqlite"), MemoryPublisher()
    processor = IntakeProcessor(
        "lookstream",
        jobs=jobs,
        publisher=published,
        metrics=StageMetrics(),
        policy=RetryPolicy(base_s=0.001, cap_s=0.002),
    )
    yield Intake(processor, jobs, published)
    await jobs.close()


async def test_an_upload_is_submitted(intake: Intake) -> None:
    (event,) = await intake.process(notification(told(KEY)))
    assert isinstance(event, ImageSubmitted)
    assert (event.job_id, event.source.object, event.stages) == (JOB, KEY, ())


async def test_a_submitted_job_keeps_its_options(intake: Intake) -> None:
    wanted = ("validation", "captioning")
    asked = Submitted(JOB, 1, NOON, {"object": KEY}, wanted, lane="bulk", group="g")
    await intake.jobs.apply([asked])
    assert await intake.process(notification(told(KEY))) == []


async def test_an_upload_to_a_deleted_job_is_submitted_to_be_erased(intake: Intake) -> None:
    await intake.jobs.apply([Deleted(JOB, 1, NOON)])
    (event,) = await intake.process(notification(told(KEY)))
    assert event.job_id == JOB


async def test_an_invalid_notification_becomes_a_dead_letter(intake: Intake) -> None:
    long = told("uploads/" + "x" * 600)
    events = await intake.process(b"junk", None, notification(long), notification(told(KEY)))
    assert [event.job_id for event in events] == [JOB]
    codes = [dict(letter.headers)["code"] for letter in intake.published.letters]
    assert codes == [b"undecodable-notification"] * 3
    assert intake.published.letters[0].value == b"junk"


async def test_an_unavailable_broker_is_waited_for(intake: Intake) -> None:
    intake.published.failures = 4
    assert len(await intake.process(notification(told(KEY)))) == 1
    assert intake.processor.waiting_for is None
