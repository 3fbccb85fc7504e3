"""On a full disk, the stores say so, and jobs can still be deleted. Needs the right to mount."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.runtime.metrics import StageMetrics
from agents.tracking.projection import TrackingProcessor
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.errors import StorageFull
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import Deleted, Submitted
from streams.events.models import ImageSubmitted, JobDeleted, Source
from streams.stages.graph import StageGraph
from streams.stages.registry import PIPELINE, RESULT_EVENTS
from tests.publishing import MemoryPublisher
from tests.sewing import record
from tests.small_disk import SmallDisk, small_disk

__all__ = ["small_disk"]
JOB_ID = "01941f29-7c00-7000-8000-000000000001"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def submitted(number: int) -> Submitted:
    metadata = {"note": "x" * 10_000}
    return Submitted(f"job-{number}", 1, NOW, {"url": "http://a/b"}, ("pose",), metadata=metadata)


async def fill_with_jobs(jobs: SqliteJobs, first: int) -> None:
    for number in range(first, first + 2000):
        await jobs.apply([submitted(number)])


async def test_a_full_job_file_refuses_jobs_and_deletes_jobs(small_disk: SmallDisk) -> None:
    jobs = SqliteJobs(small_disk.path / "jobs.sqlite")
    try:
        await jobs.apply([submitted(0)])
        small_disk.fill()
        with pytest.raises(StorageFull):
            await fill_with_jobs(jobs, 1)
        (deleted,) = await jobs.apply([Deleted("job-0", 1, NOW)])
        assert deleted.status == "deleted"
        small_disk.free()
        await jobs.apply([submitted(3000)])
        await jobs.check()
        small_disk.fill()
        with pytest.raises(StorageFull):
            await fill_with_jobs(jobs, 4000)
        assert await jobs.apply([Deleted("job-3000", 1, NOW)]), "the reserve was filled again"
    finally:
        await jobs.close()


async def test_tracking_deletes_a_job_on_a_full_disk(small_disk: SmallDisk, tmp_path: Path) -> None:
    jobs = SqliteJobs(tmp_path / "jobs.sqlite")
    artifacts = DirectoryArtifacts(small_disk.path, LinkSigner(b"0123456789abcdef", ""))
    tracking = TrackingProcessor(
        RESULT_EVENTS,
        graph=StageGraph(PIPELINE),
        jobs=jobs,
        artifacts=artifacts,
        publisher=MemoryPublisher(),
        metrics=StageMetrics(),
    )
    submission = ImageSubmitted(job_id=JOB_ID, source=Source(object=f"incoming/{JOB_ID}"))
    try:
        async with asyncio.timeout(20):
            await tracking.process([record(submission)])
            artifacts.put(f"incoming/{JOB_ID}", b"x")
            small_disk.fill()
            await tracking.process([record(JobDeleted(job_id=JOB_ID))])
        job = await jobs.get(JOB_ID)
        assert job is not None
        assert job.status == "deleted"
        assert artifacts.list("incoming/") == []
    finally:
        await jobs.close()


def test_a_full_artifact_directory_says_so_and_keeps_nothing(small_disk: SmallDisk) -> None:
    store = DirectoryArtifacts(small_disk.path, LinkSigner(b"0123456789abcdef", ""))
    store.put("incoming/1", b"x")
    small_disk.fill()
    with pytest.raises(StorageFull, match="full"):
        store.put("incoming/2", b"x" * 8_000_000)
    assert store.list("incoming/") == ["incoming/1"]
    store.delete("incoming/1")
    assert store.list("incoming/") == []
