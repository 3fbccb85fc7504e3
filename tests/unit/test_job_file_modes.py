"""The job file can be read by its owner only."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import Submitted

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def modes(directory: Path) -> set[int]:
    """Return the modes of all files: the job file, its log and index, and the reserve."""
    names = {each.name for each in directory.iterdir()}
    assert {"jobs.sqlite", "jobs.sqlite-wal", "jobs.sqlite-shm"} <= names
    return {mode(each) for each in directory.iterdir()}


async def test_a_new_job_file_is_private(tmp_path: Path) -> None:
    before = os.umask(0o022)
    jobs = SqliteJobs(tmp_path / "data" / "jobs.sqlite")
    try:
        await jobs.apply([Submitted("job", 1, NOW, {"url": "http://a/b"}, ("pose",))])
        assert modes(tmp_path / "data") == {0o600}
        assert mode(tmp_path / "data") == 0o700
    finally:
        os.umask(before)
        await jobs.close()


@pytest.fixture
def older(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    path = tmp_path / "jobs.sqlite"
    path.touch()
    path.chmod(0o644)
    return path


async def test_an_older_job_file_becomes_private_and_its_directory_keeps_its_mode(
    older: Path,
) -> None:
    jobs = SqliteJobs(older)
    try:
        await jobs.check()
        assert modes(older.parent) == {0o600}
        assert mode(older.parent) == 0o755
    finally:
        await jobs.close()
