"""The job file can be read by its owner only."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
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


def test_making_the_file_private_drops_no_locks(tmp_path: Path) -> None:
    """POSIX locks of a process end when any descriptor of the file is closed. Then a second process
    deletes the write-ahead log that the first one still uses, and jobs vanish."""
    path = tmp_path / "jobs.sqlite"
    count = "SELECT count(*) FROM jobs"
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "print(c.execute(sys.argv[2]).fetchone()[0]); c.close()"
    )

    def seen_elsewhere() -> int:
        done = subprocess.run(
            [sys.executable, "-c", program, str(path), count],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    async def use_twice() -> None:
        first, second = SqliteJobs(path), SqliteJobs(path)
        await first.apply([Submitted("one", 1, NOW, {"url": "x"}, ("a",))])
        await second.get("one")
        assert seen_elsewhere() == 1
        await first.apply([Submitted("two", 1, NOW, {"url": "x"}, ("a",))])
        assert seen_elsewhere() == 2
        await first.close()
        await second.close()

    asyncio.run(use_twice())
