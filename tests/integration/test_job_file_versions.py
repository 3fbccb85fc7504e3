"""Job files and databases of earlier versions open and can be searched."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from storage.errors import StorageError, StoreUnavailable
from storage.jobs.documents import job_document, job_from_document
from storage.jobs.mongo import schema
from storage.jobs.mongo.schema import to_stored
from storage.jobs.mongo.store import MongoJobs
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import JobQuery, StageCompleted, Submitted
from storage.jobs.transition import fold
from tests.contract.job_stores import found
from tests.servers import FerretServer

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
VERSION_2 = """
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY, status TEXT NOT NULL, owner TEXT, "group" TEXT,
    updated_at TEXT NOT NULL, written_at TEXT NOT NULL, sort_at TEXT NOT NULL, body TEXT NOT NULL
);
CREATE TABLE terms (
    term TEXT NOT NULL, sort_at TEXT NOT NULL, job_id TEXT NOT NULL,
    PRIMARY KEY (term, sort_at, job_id)
) WITHOUT ROWID;
CREATE TABLE requests (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, at TEXT NOT NULL);
PRAGMA user_version = 2;
"""


def row(number: int) -> tuple[object, ...]:
    at = NOON + timedelta(seconds=number)
    said: dict[str, object] = {"caption": "Red Dress" if number % 2 else "Blue Shirt"}
    if number < 5:  # the last caption has no mark
        said["needs_review"] = number % 2 == 0
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


@pytest.fixture
def file_of_version_2(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_2)
    for number in range(6):
        job_id, status, owner, group, updated_at, sort_at, body = row(number)
        values = (job_id, status, owner, group, updated_at, updated_at, sort_at, body)
        connection.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        connection.execute("INSERT INTO terms VALUES ('word:dress', ?, ?)", (sort_at, job_id))
    connection.execute("UPDATE jobs SET body = 'unreadable' WHERE job_id = 'job-3'")
    connection.commit()
    connection.close()
    return path


async def test_a_file_of_version_2_gets_terms_of_the_review_mark(file_of_version_2: Path) -> None:
    store = SqliteJobs(file_of_version_2)
    assert await found(store, needs_review=True) == ["job-4", "job-2", "job-0"]
    assert await found(store, needs_review=False) == ["job-1"]
    assert await store.count(JobQuery(text="dress"), at_most=9) == 6
    await store.close()


@pytest.mark.parametrize("page", [2, 500])
async def test_a_database_without_review_terms_gets_them(
    ferretdb_server: FerretServer, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(schema, "MIGRATED_AT_ONCE", page)
    url = ferretdb_server.fresh()
    jobs = []
    for number in range(6):
        doc = to_stored(job_from_document(json.loads(str(row(number)[-1]))))
        doc["terms"] = [term for term in doc["terms"] if not term.startswith("review:")]
        jobs.append(doc)
    with MongoClient[dict[str, Any]](url) as client:
        client.get_default_database()["jobs"].insert_many(jobs)
    for _ in range(2):  # a second process finds the work done
        store = MongoJobs(url)
        assert await found(store, needs_review=True) == ["job-4", "job-2", "job-0"]
        assert await found(store, needs_review=False) == ["job-3", "job-1"]
        await store.close()
    with MongoClient[dict[str, Any]](url) as client:
        database = client.get_default_database()
        assert list(database["meta"].find()) == [{"_id": "terms", "version": 2}]
        assert {"word:dress", "review:none"} <= {*database["jobs"].find_one("job-3")["terms"]}


async def test_an_interrupted_migration_continues_after_the_last_page(
    ferretdb_server: FerretServer,
) -> None:
    url = ferretdb_server.fresh()
    doc = to_stored(job_from_document(json.loads(str(row(4)[-1]))))
    doc["terms"] = []
    with MongoClient[dict[str, Any]](url) as client:
        database = client.get_default_database()
        database["jobs"].insert_many([doc, {**doc, "_id": "job-5", "job_id": "job-5"}])
        database["meta"].insert_one({"_id": "terms", "after": "job-4"})
    store = MongoJobs(url)
    assert await found(store, needs_review=True) == ["job-5"]
    await store.close()
