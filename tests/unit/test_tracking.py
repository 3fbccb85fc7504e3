"""Tracking: events become updates of jobs; a bad event does not stop the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.runtime.metrics import StageMetrics
from agents.runtime.retry import RetryPolicy
from agents.tracking.projection import TrackingProcessor, update_of
from storage.artifacts import keys
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.errors import StorageError, StoreUnavailable
from storage.jobs import store as states
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import Job, JobUpdate
from streams.broker.records import Record
from streams.events.codec import Envelope, encode
from streams.events.embedding import SIZE
from streams.events.embedding import encode as encode_vector
from streams.events.models import (
    Event,
    ImageCaptioned,
    ImageClassified,
    ImageSubmitted,
    ImageValidated,
    JobDeleted,
    JobUpdated,
    Source,
    StageFailed,
    StageResult,
)
from streams.stages.graph import StageGraph
from streams.stages.registry import PIPELINE, RESULT_EVENTS
from tests.publishing import MemoryPublisher

GRAPH = StageGraph(PIPELINE)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SHA = "0" * 64
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def job_id(number: int = 1) -> str:
    return f"01941f29-7c00-7000-8000-{number:012}"


def submitted(number: int = 1, **more: Any) -> ImageSubmitted:
    return ImageSubmitted(job_id=job_id(number), source=Source(url="http://a/b.jpg"), **more)


def captioned(number: int = 1, **more: Any) -> ImageCaptioned:
    facts = {"sha256": SHA, "caption": "Red dress", "model": "m-1", "stages": ("validation",)}
    return ImageCaptioned(job_id=job_id(number), **{**facts, **more})


def failed(number: int = 1, stage: str = "pose", **more: Any) -> StageFailed:
    facts = {"kind": "error", "code": "stage-error", "message": "It broke."}
    return StageFailed(job_id=job_id(number), stage=stage, **{**facts, **more})


def validated(number: int = 1, **more: Any) -> ImageValidated:
    facts = {"sha256": SHA, "perceptual_hash": "0", "width": 1, "height": 1, "format": "JPEG"}
    kept = {"bytes": 1, "original": keys.original(SHA), "working": keys.working(SHA)}
    return ImageValidated(job_id=job_id(number), **{**facts, **kept, **more})


def change(event: Event) -> JobUpdate:
    return update_of(Envelope(event, "1", NOON), GRAPH)


# -- events into updates ---------------------------------------------------------------------


def test_a_submission_wants_what_its_stages_need() -> None:
    event = submitted(stages=("shots",), owner="ann", group="g", metadata={"a": 1}, lane="bulk")
    assert change(event) == states.Submitted(
        job_id(),
        1,
        NOON,
        {"url": "http://a/b.jpg"},
        ("validation", "pose", "shots"),
        lane="bulk",
        owner="ann",
        group="g",
        metadata={"a": 1},
    )


def test_an_unknown_stage_waits_for_validation_to_reject_it() -> None:
    update = change(submitted(stages=("ironing",)))
    assert isinstance(update, states.Submitted)
    assert update.wanted == ("validation",)


def test_a_result_is_its_stages_payload_and_content() -> None:
    update = change(captioned(run=2, attempts=3, started_at=NOON, reused=True))
    assert update == states.StageCompleted(
        job_id(),
        2,
        NOON,
        "captioning",
        {
            "sha256": SHA,
            "caption": "Red dress",
            "description": "",
            "attributes": {},
            "needs_review": False,
            "model": "m-1",
            "item": None,
        },
        ("validation",),
        attempts=3,
        started_at=NOON,
        reused=True,
    )


def test_a_vector_is_kept_with_its_model() -> None:
    text = encode_vector([1.0] * SIZE)
    event = ImageClassified(job_id=job_id(), sha256=SHA, top5=(), model="m-1", embedding=text)
    update = change(event)
    assert isinstance(update, states.StageCompleted)
    assert update.result == {
        "sha256": SHA, "top5": [], "items": [], "model": "m-1", "embedding": text,
    }  # fmt: skip


def test_a_failure_blocks_what_comes_after() -> None:
    update = change(failed(detail="on page 7", attempts=3, stages=("pose", "shots")))
    assert update == states.StageFailure(
        job_id(),
        1,
        NOON,
        states.StageError("pose", "error", "stage-error", "It broke.", "on page 7"),
        ("pose", "shots"),
        blocks=("shots",),
        attempts=3,
    )


def test_a_deletion_becomes_a_deleted_update() -> None:
    assert change(JobDeleted(job_id=job_id(), run=2)) == states.Deleted(job_id(), 2, NOON)


def test_an_unexpected_event_type_raises() -> None:
    with pytest.raises(TypeError, match="JobUpdated"):
        change(JobUpdated(job_id=job_id(), status="pending", revision=1, updated_at=NOON))


@pytest.mark.parametrize("event", [submitted(), captioned(), failed()], ids=repr)
def test_the_update_is_a_function_of_the_event(event: Event) -> None:
    assert change(event) == change(event)


# -- the processor ---------------------------------------------------------------------------


class Refusing(SqliteJobs):
    """A job store that is unavailable for ``away`` calls and refuses the jobs in ``poison``."""

    away = 0
    poison: frozenset[str] = frozenset()

    async def apply(self, updates: Any) -> list[Job]:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("the store is away")
        if any(update.job_id in self.poison for update in updates):
            raise StorageError("the store refused")
        return await super().apply(updates)


@dataclass
class Tracking:
    processor: TrackingProcessor
    jobs: Refusing
    artifacts: DirectoryArtifacts
    deleted: set[str]
    published: MemoryPublisher

    async def process(self, *events: Event | Record) -> list[JobUpdated]:
        """Process the events as one batch; return the published updates."""
        before = len(self.published.events)
        records = [each if isinstance(each, Record) else record(each) for each in events]
        await self.processor.process(records)
        return [each for each in self.published.events[before:] if isinstance(each, JobUpdated)]

    def put(self, *names: str) -> None:
        for name in names:
            self.artifacts.put(name, b"bytes")


def record(event: Event, offset: int = 0) -> Record:
    made = encode(event, source="/tests", traceparent=TRACE)
    return Record(made.topic, 0, offset, made.key, made.value, made.headers)


@pytest.fixture
async def tracking(tmp_path: Path) -> AsyncIterator[Tracking]:
    jobs, published = Refusing(tmp_path / "jobs.sqlite"), MemoryPublisher()
    artifacts = DirectoryArtifacts(tmp_path / "artifacts", LinkSigner(b"0123456789abcdef", ""))
    deleted: set[str] = set()
    processor = TrackingProcessor(
        RESULT_EVENTS,
        graph=GRAPH,
        jobs=jobs,
        artifacts=artifacts,
        publisher=published,
        metrics=StageMetrics(),
        deleted=deleted,
        policy=RetryPolicy(base_s=0.001, cap_s=0.002),
    )
    yield Tracking(processor, jobs, artifacts, deleted, published)
    await jobs.close()


async def test_a_batch_is_stored_and_published(tracking: Tracking) -> None:
    news = await tracking.process(submitted(1, group="g"), captioned(1), submitted(2))
    assert [(each.job_id, each.status) for each in news] == [
        (job_id(1), "processing"),
        (job_id(2), "pending"),
    ]
    assert news[0].stages == {"captioning": "completed"}
    assert news[0].group == "g"
    assert tracking.published.traces == [TRACE, TRACE]
    job = await tracking.jobs.get(job_id(1))
    assert job is not None
    assert job.stages["captioning"].status == "completed"


async def test_the_update_of_a_failed_job_has_the_error(tracking: Tracking) -> None:
    (news,) = await tracking.process(submitted(stages=("pose",)), failed(stage="validation"))
    assert news.status == "failed"
    assert news.error == {"stage": "validation", "code": "stage-error", "message": "It broke."}


async def test_a_redelivered_event_changes_nothing_but_is_published_again(
    tracking: Tracking,
) -> None:
    """Tracking may be killed between storing and publishing; then it reads the event again."""
    one = record(captioned())
    (first,) = await tracking.process(one)
    (second,) = await tracking.process(one)
    assert second == first


async def test_only_the_refused_event_becomes_a_dead_letter(tracking: Tracking) -> None:
    tracking.jobs.poison = frozenset({job_id(2)})
    news = await tracking.process(submitted(1), submitted(2), submitted(3))
    assert [each.job_id for each in news] == [job_id(1), job_id(3)]
    (letter,) = tracking.published.letters
    assert letter.key == job_id(2).encode()
    assert dict(letter.headers)["code"] == b"tracking-error"


async def test_an_unavailable_store_is_waited_for(tracking: Tracking) -> None:
    tracking.jobs.away = 4
    news = await tracking.process(submitted())
    assert [each.job_id for each in news] == [job_id()]
    assert tracking.published.letters == []
    assert tracking.processor.waiting_for is None


async def test_an_unavailable_broker_is_waited_for(tracking: Tracking) -> None:
    tracking.published.failures = 4
    assert len(await tracking.process(submitted(), captioned())) == 1


async def test_tracking_dead_letters_only_topics_that_no_stage_reads(tracking: Tracking) -> None:
    def junk(topic: str) -> Record:
        return Record(topic, 0, 5, b"key", b"junk", ())

    await tracking.process(junk("image-submitted"), junk("image-captioned"), submitted())
    assert [
        dict(each.headers)["__connect.errors.topic"] for each in tracking.published.letters
    ] == [
        b"image-captioned"  # no stage reads it; validation dead-letters image-submitted
    ]
    assert len(tracking.published.events) == 1


# -- deleted jobs ----------------------------------------------------------------------------


async def test_a_deletion_is_published_and_erases_the_artifacts(tracking: Tracking) -> None:
    await tracking.process(submitted(), validated())
    tracking.put(keys.original(SHA), keys.working(SHA), keys.result(SHA, "captioning", "1"))
    (news,) = await tracking.process(JobDeleted(job_id=job_id()))
    assert (news.status, news.stages) == ("deleted", {})
    assert tracking.artifacts.list() == []


async def test_content_of_another_job_stays(tracking: Tracking) -> None:
    await tracking.process(submitted(1), validated(1), submitted(2), validated(2))
    tracking.put(keys.original(SHA))
    await tracking.process(JobDeleted(job_id=job_id(1)))
    assert tracking.artifacts.list() == [keys.original(SHA)]


@pytest.mark.parametrize("late", [validated(), captioned()], ids=lambda event: event.topic)
async def test_results_after_the_deletion_are_erased(tracking: Tracking, late: StageResult) -> None:
    await tracking.process(submitted(), JobDeleted(job_id=job_id()))
    tracking.put(keys.working(SHA), keys.result(SHA, "captioning", "1"))
    (news,) = await tracking.process(late)
    assert news.status == "deleted"
    assert tracking.artifacts.list() == []


async def test_an_upload_to_a_deleted_job_is_erased(tracking: Tracking) -> None:
    tracking.deleted.add(job_id())
    upload = keys.upload(job_id())
    await tracking.process(JobDeleted(job_id=job_id()))
    tracking.put(upload)
    await tracking.process(ImageSubmitted(job_id=job_id(), source=Source(object=upload)))
    assert tracking.artifacts.list() == []


async def test_an_interrupted_deletion_is_completed(tracking: Tracking) -> None:
    """The deleted job no longer has its content's hash. The erasure note has it."""
    await tracking.process(submitted(), validated())
    tracking.put(keys.original(SHA), keys.erasure(job_id()))
    tracking.artifacts.put(keys.erasure(job_id()), b'{"source": {}, "sha256": "%s"}' % SHA.encode())
    await tracking.jobs.apply([states.Deleted(job_id(), 1, NOON)])
    await tracking.process(JobDeleted(job_id=job_id()))
    assert tracking.artifacts.list() == []


async def test_artifacts_of_other_jobs_are_not_erased(tracking: Tracking) -> None:
    tracking.put(keys.original(SHA))
    await tracking.process(submitted(1), submitted(2), validated(2), JobDeleted(job_id=job_id(1)))
    assert tracking.artifacts.list() == [keys.original(SHA)]


async def test_content_claimed_by_an_unknown_job_stays(tracking: Tracking) -> None:
    """Validation has claimed the content for the second job, whose events tracking has not read."""
    tracking.put(keys.original(SHA), keys.claim(SHA, job_id(1)), keys.claim(SHA, job_id(2)))
    await tracking.process(submitted(1), validated(1), JobDeleted(job_id=job_id(1)))
    assert tracking.artifacts.list() == [keys.claim(SHA, job_id(2)), keys.original(SHA)]
    await tracking.process(submitted(2), JobDeleted(job_id=job_id(2)), validated(2))
    assert tracking.artifacts.list() == []


async def test_a_claim_of_a_deleted_job_keeps_nothing(tracking: Tracking) -> None:
    tracking.put(keys.original(SHA), keys.claim(SHA, job_id(1)), keys.claim(SHA, job_id(2)))
    await tracking.process(JobDeleted(job_id=job_id(2)))
    await tracking.process(submitted(1), validated(1), JobDeleted(job_id=job_id(1)))
    assert tracking.artifacts.list() == []


# -- poison --------------------------------------------------------------------------------------


def test_a_start_after_its_event_becomes_the_time_of_the_event() -> None:
    far = datetime(9999, 12, 31, tzinfo=UTC)
    for event in (captioned(started_at=far), failed(started_at=far)):
        update = change(event)
        assert isinstance(update, states.StageCompleted | states.StageFailure)
        assert update.started_at == NOON
