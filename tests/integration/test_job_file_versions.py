"""A job file of version 1 opens and can be searched."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.errors import StorageError, StoreUnavailable
from storage.jobs.documents import job_document
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import JobQuery, StageCompleted, Submitted
from storage.jobs.transition import fold

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
VERSION_1 = """
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY, status TEXT NOT NULL, owner TEXT, "group" TEXT,
    updated_at TEXT NOT NULL, sort_at TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX jobs_in_order ON jobs (sort_at DESC, job_id DESC);
CREATE INDEX jobs_by_status ON jobs (status, sort_at DESC, job_id DESC);
CREATE INDEX jobs_by_group ON jobs ("group", sort_at DESC, job_id DESC);
CREATE INDEX jobs_by_owner ON jobs (owner, sort_at DESC, job_id DESC);
CREATE INDEX jobs_by_age ON jobs (status, updated_at);
"""


def row(number: int) -> tuple[object, ...]:
    at = NOON + timedelta(seconds=number)
    said = {"caption": "Red Dress" if number % 2 else "Blue Shirt"}
    wanted = ("captioning",)
    job = fold(
        None,
        [
            Submitted(f"job-{number}", 1, at, {"url": "http://a"}, wanted, group="album"),
            StageCompleted(f"job-{number}", 1, at, "captioning", said, wanted),
        ],
    )
    assert job is not None
    doc = job_document(job)
    columns = ("job_id", "status", "owner", "group", "updated_at", "sort_at")
    return (*(doc[column] for column in columns), json.dumps(doc))


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    insert = "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?)"
    connection.executemany(insert, [row(number) for number in range(6)])
    connection.commit()
    connection.close()
    return path


async def test_a_file_of_version_1_is_brought_up(old_file: Path) -> None:
    store = SqliteJobs(old_file)
    found = await store.find(JobQuery(text="dress", limit=2))
    assert [job.job_id for job in found.jobs] == ["job-5", "job-3"]
    assert await store.count(JobQuery(), at_most=100) == 6
    assert await store.count(JobQuery(group="album", text="blue"), at_most=100) == 3
    since = NOON + timedelta(seconds=3)
    assert await store.count(JobQuery(written_after=since), at_most=100) == 2
    again = StageCompleted("job-5", 2, NOON, "captioning", {"caption": "Hat"}, ("captioning",))
    await store.apply([again])
    assert await store.count(JobQuery(text="dress"), at_most=100) == 2
    await store.close()


async def test_several_processes_may_bring_it_up_at_once(old_file: Path) -> None:
    stores = [SqliteJobs(old_file) for _ in range(5)]
    asked = JobQuery(text="dress")
    counts = await asyncio.gather(*(store.count(asked, at_most=9) for store in stores))
    assert counts == [3] * 5
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_file_of_a_newer_version_is_left_alone(old_file: Path) -> None:
    with sqlite3.connect(old_file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    store = SqliteJobs(old_file)
    with pytest.raises(StorageError, match="version 99") as refusal:
        await store.check()
    assert not isinstance(refusal.value, StoreUnavailable)
    await store.close()
