"""The sweeper resubmits stalled jobs unchanged, and publishes unfinished deletions again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.tracking.sweeper import Sweeper, resubmission
from storage.artifacts import keys
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import Deleted, StageCompleted, StageError, StageFailure, Submitted
from streams.events.models import ImageSubmitted, JobDeleted, Source
from tests.polling import eventually
from tests.publishing import MemoryPublisher

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
SHA = "0" * 64


def job_id(number: int) -> str:
    return f"01941f29-7c00-7000-8000-{number:012}"


def submitted(number: int = 1, minutes: float = 0, **more: Any) -> Submitted:
    fields = {"source": {"object": f"incoming/{number}"}, "wanted": ("validation", "pose"), **more}
    return Submitted(job_id(number), 1, NOON + timedelta(minutes=minutes), **fields)


def validated(number: int = 1) -> StageCompleted:
    return StageCompleted(
        job_id(number), 1, NOON, "validation", {"sha256": SHA}, ("validation", "pose")
    )


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobs]:
    store = SqliteJobs(tmp_path / "jobs.sqlite")
    yield store
    await store.close()


@pytest.fixture
def published() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
def artifacts(tmp_path: Path) -> DirectoryArtifacts:
    return DirectoryArtifacts(tmp_path / "artifacts", LinkSigner(b"0123456789abcdef", ""))


@pytest.fixture
def sweeper(jobs: SqliteJobs, artifacts: DirectoryArtifacts, published: MemoryPublisher) -> Sweeper:
    return Sweeper(jobs, artifacts, published, after_s=300.0)


def swept(published: MemoryPublisher) -> set[str]:
    return {event.job_id for event in published.events}


async def test_only_stalled_unfinished_jobs_are_resubmitted(
    jobs: SqliteJobs, published: MemoryPublisher, sweeper: Sweeper
) -> None:
    broken = StageFailure(
        job_id(3), 1, NOON, StageError("validation", "rejected", "c", "m"), (), ("pose",)
    )
    done = StageCompleted(job_id(4), 1, NOON, "pose", {}, ())
    await jobs.apply([submitted(1), submitted(2), validated(2)])
    await jobs.apply([submitted(3), broken, submitted(4), validated(4), done])
    await jobs.apply([submitted(5, minutes=50)])
    count = await sweeper.sweep(before=NOON + timedelta(minutes=30), at=LATER)
    assert swept(published) == {job_id(1), job_id(2)}
    assert count == 2


async def test_a_resubmitted_job_waits_longer_for_the_next_resubmission(
    jobs: SqliteJobs, published: MemoryPublisher, sweeper: Sweeper
) -> None:
    await jobs.apply([submitted(1)])
    assert await sweeper.sweep(before=LATER, at=LATER) == 1
    assert await sweeper.sweep(before=LATER, at=LATER) == 0
    much_later = LATER + timedelta(minutes=15)
    assert await sweeper.sweep(before=much_later, at=much_later) == 1


async def test_a_result_without_its_submission_cannot_be_submitted(
    jobs: SqliteJobs, published: MemoryPublisher, sweeper: Sweeper
) -> None:
    await jobs.apply([validated(1)])
    assert await sweeper.sweep(before=LATER, at=LATER) == 0


async def test_a_job_with_invalid_data_does_not_block_others(
    jobs: SqliteJobs, published: MemoryPublisher, sweeper: Sweeper
) -> None:
    alien = Submitted("not a UUID", 1, NOON, {"url": "http://a/b"}, ("validation",))
    await jobs.apply([alien, submitted(1)])
    assert await sweeper.sweep(before=LATER, at=LATER) == 1


async def test_more_than_one_page_is_resubmitted_once_each(
    jobs: SqliteJobs, published: MemoryPublisher, sweeper: Sweeper
) -> None:
    await jobs.apply([submitted(number, minutes=number / 1000) for number in range(250)])
    assert await sweeper.sweep(before=LATER, at=LATER) == 250
    assert len(published.events) == len(swept(published)) == 250


async def test_a_job_is_submitted_as_it_was(jobs: SqliteJobs) -> None:
    facts = {"owner": "ann", "group": "g", "metadata": {"a": 1}, "idempotency_key": "k"}
    more = {"lane": "bulk", "force": True, **facts}
    (job,) = await jobs.apply([submitted(1, source={"url": "http://a/b"}, **more)])
    assert resubmission(job) == ImageSubmitted(
        job_id=job_id(1), source=Source(url="http://a/b"), stages=("validation", "pose"), **more
    )


async def test_a_validated_job_is_resubmitted_from_its_original(jobs: SqliteJobs) -> None:
    (job,) = await jobs.apply([submitted(1), validated(1)])
    assert resubmission(job).source == Source(object=f"originals/{SHA}")


async def test_an_unavailable_broker_postpones_the_sweep(
    jobs: SqliteJobs, artifacts: DirectoryArtifacts, published: MemoryPublisher
) -> None:
    await jobs.apply([submitted(1)])
    published.failures = 3
    sweeper = Sweeper(jobs, artifacts, published, after_s=0.01)
    sweeping = asyncio.create_task(sweeper.run(at_start_s=0.0, now=lambda: LATER))
    await eventually(lambda: swept(published) == {job_id(1)} or sweeping.done())
    sweeping.cancel()
    assert published.refused == 3
    assert swept(published) == {job_id(1)}


async def test_a_long_queue_does_not_grow_by_itself(
    jobs: SqliteJobs, published: MemoryPublisher, sweeper: Sweeper
) -> None:
    await jobs.apply([submitted()])
    for minute in range(10, 150, 5):
        at = NOON + timedelta(minutes=minute)
        await sweeper.sweep(before=at - timedelta(seconds=300), at=at)
    assert len(published.events) == 4  # after 10, 20, 40 and 80 minutes


async def test_an_unpublished_deletion_is_published(
    jobs: SqliteJobs, artifacts: DirectoryArtifacts, published: MemoryPublisher, sweeper: Sweeper
) -> None:
    """After an outage of Kafka or a kill of the gateway, the erasure note remains."""
    await jobs.apply([submitted(1), submitted(2), Deleted(job_id(1), 1, NOON)])
    for number in (1, 2, 3):  # job 2 is not deleted, job 3 is unknown
        artifacts.put(keys.erasure(job_id(number)), b"{}")
    now = datetime.now(UTC)
    assert await sweeper.republish_deletions(before=now - timedelta(hours=1)) == 0
    assert await sweeper.republish_deletions(before=now + timedelta(hours=1)) == 1
    assert published.events == [JobDeleted(job_id=job_id(1), run=1)]


async def test_a_submission_that_cannot_be_published_does_not_block_others(
    jobs: SqliteJobs, published: MemoryPublisher, sweeper: Sweeper
) -> None:
    await jobs.apply([submitted(1), submitted(2), submitted(3)])
    published.too_large = lambda event: event.job_id == job_id(2)
    assert await sweeper.sweep(before=LATER, at=LATER) == 2
    assert swept(published) == {job_id(1), job_id(3)}


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"stages": 7}'])
async def test_an_unreadable_document_does_not_end_the_sweeper(
    tmp_path: Path, jobs: SqliteJobs, published: MemoryPublisher, sweeper: Sweeper, body: str
) -> None:
    await jobs.apply([submitted(1), submitted(2), submitted(3)])
    with sqlite3.connect(tmp_path / "jobs.sqlite") as connection:
        change = "UPDATE jobs SET body = ? WHERE job_id = ?"
        connection.execute(change, (body, job_id(2)))
    connection.close()
    assert await sweeper.sweep(before=LATER, at=LATER) == 2
    assert swept(published) == {job_id(1), job_id(3)}
