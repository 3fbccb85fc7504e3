"""The sweeper removes uploads that no job needs from every store, and never an accepted photo."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.tracking.quarantine import QuarantineSweeper
from lookstream.testing import MemoryArtifacts
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.artifacts.store import ArtifactStore
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import Deleted, StageCompleted, StageError, StageFailure, Submitted
from storage.urls import open_artifacts
from tests.servers import MinioServer

WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)
SIGNER = LinkSigner(b"0123456789abcdef", "")
WANTED = ("validation", "pose")


def job_id(number: int) -> str:
    return f"01941f29-7c00-7000-8000-{number:012}"


@pytest.fixture(params=["memory", "directory", pytest.param("s3", marks=pytest.mark.real_servers)])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "memory":
        return MemoryArtifacts()
    if request.param == "directory":
        return DirectoryArtifacts(tmp_path / "artifacts", SIGNER)
    server: MinioServer = request.getfixturevalue("minio_server")
    return open_artifacts(server.fresh(), SIGNER)


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobs]:
    store = SqliteJobs(tmp_path / "jobs.sqlite")
    yield store
    await store.close()


async def test_only_what_no_job_needs_is_deleted(
    jobs: SqliteJobs, artifacts: ArtifactStore
) -> None:
    now = datetime.now(UTC)

    def submitted(number: int, key: str, run: int = 1) -> Submitted:
        return Submitted(job_id(number), run, now, {"object": key}, WANTED)

    def failed(number: int, kind: str) -> StageFailure:
        error = StageError("validation", kind, "c", "m")  # type: ignore[arg-type]
        return StageFailure(job_id(number), 1, now, error, WANTED, ("pose",))

    waiting, again, broken, named = (
        f"incoming/{job_id(1)}", f"uploads/{job_id(2)}", f"incoming/{job_id(3)}", "uploads/a name",
    )  # fmt: skip
    rejected, never, done, gone, foreign = (
        f"incoming/{job_id(5)}", f"uploads/{job_id(6)}", f"uploads/{job_id(7)}",
        f"uploads/{job_id(8)}", "uploads/another name",
    )  # fmt: skip
    await jobs.apply([
        submitted(1, waiting),
        submitted(2, again), failed(2, "rejected"), submitted(2, again, run=2),
        submitted(3, broken), failed(3, "error"),
        submitted(4, named),
        submitted(5, rejected), failed(5, "rejected"),
        submitted(7, done),
        StageCompleted(job_id(7), 1, now, "validation", {"sha256": "0" * 64}, WANTED),
        submitted(8, gone), Deleted(job_id(8), 1, now),
    ])  # fmt: skip
    needed = {waiting, again, broken, named, f"originals/{'0' * 64}"}
    for key in (*needed, rejected, never, done, gone, foreign):
        artifacts.put(key, b"photo")
    sweeper = QuarantineSweeper(jobs, artifacts, after_s=WEEK.total_seconds())
    assert await sweeper.sweep(at=now + WEEK - HOUR) == 0
    assert await sweeper.sweep(at=now + WEEK + HOUR) == 0, "tracking may lag behind"
    assert await sweeper.sweep(at=now + WEEK + 2 * HOUR) == 5
    assert set(artifacts.list()) == needed


async def test_a_job_that_becomes_known_between_two_sweeps_keeps_its_photo(
    jobs: SqliteJobs, artifacts: ArtifactStore
) -> None:
    now, key = datetime.now(UTC), f"uploads/{job_id(1)}"
    artifacts.put(key, b"photo")
    sweeper = QuarantineSweeper(jobs, artifacts, after_s=60)
    assert await sweeper.sweep_if_due(now + HOUR) == 0
    await jobs.apply([Submitted(job_id(1), 1, now, {"object": key}, WANTED)])
    assert await sweeper.sweep_if_due(now + 2 * HOUR) == 0
    assert await sweeper.sweep_if_due(now + 4 * HOUR) == 0
    assert artifacts.exists(key)
