"""Jobs in one SQLite file, which any number of processes of this machine may share."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from storage.batches import by_job
from storage.documents import cursor, document, job, position, timestamp
from storage.errors import StorageError, StoreUnavailable
from storage.jobs import Job, JobPage, JobQuery, JobUpdate
from storage.transition import fold

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    job_id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    owner TEXT,
    "group" TEXT,
    updated_at TEXT NOT NULL,
    sort_at TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_in_order ON jobs (sort_at DESC, job_id DESC);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, sort_at DESC, job_id DESC);
CREATE INDEX IF NOT EXISTS jobs_by_group ON jobs ("group", sort_at DESC, job_id DESC);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner, sort_at DESC, job_id DESC);
CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs (status, updated_at);
"""
COLUMNS = ("job_id", "status", "owner", "group", "updated_at", "sort_at")
UPSERT = (
    'INSERT OR REPLACE INTO jobs (job_id, status, owner, "group", updated_at, sort_at, body)'
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


class SqliteJobs:
    """A `JobStore` in one file. All of SQLite's work is done in one thread of its own.

    A batch is one IMMEDIATE transaction: it takes the write lock before it reads, so two
    processes change jobs one after the other and no update is lost.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-jobs")
        self._open: sqlite3.Connection | None = None
        self._closed = False

    async def apply(self, updates: Sequence[JobUpdate]) -> list[Job]:
        return await self._run(lambda connection: _apply(connection, updates))

    async def get(self, job_id: str) -> Job | None:
        return await self._run(lambda connection: _read(connection, job_id))

    async def find(self, query: JobQuery) -> JobPage:
        sql, values = _selection(query)
        rows = await self._run(lambda connection: connection.execute(sql, values).fetchall())
        docs = [json.loads(body) for (body,) in rows[: query.limit]]
        more = cursor(docs[-1]) if len(rows) > query.limit else None
        return JobPage(tuple(job(doc) for doc in docs), more)

    async def clear(self) -> None:
        await self._run(lambda connection: connection.execute("DELETE FROM jobs"))

    async def check(self) -> None:
        await self._run(lambda connection: connection.execute("SELECT 1 FROM jobs LIMIT 1"))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreUnavailable("the job store is closed")

        def call() -> T:
            with _translated():
                return work(self._connection())

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=10.0, isolation_level=None)
            try:
                _switch_to_wal(connection)
                # FULL: a job that the gateway has accepted must survive a power cut, since the
                # embedded broker forgets and the sweeper can only find what is here. A batch is
                # one commit, so this costs one sync a batch.
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
            self._open = connection
        return self._open

    def _disconnect(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _apply(connection: sqlite3.Connection, updates: Sequence[JobUpdate]) -> list[Job]:
    changed: list[Job] = []
    with _transaction(connection):
        for job_id, own in by_job(updates).items():
            before = _read(connection, job_id)
            after = fold(before, own)
            if after is not None and after is not before:
                connection.execute(UPSERT, _row(after))
                changed.append(after)
    return changed


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _read(connection: sqlite3.Connection, job_id: str) -> Job | None:
    row = connection.execute("SELECT body FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    return None if row is None else job(json.loads(row[0]))


def _row(changed: Job) -> tuple[Any, ...]:
    doc = document(changed)
    return (*(doc[column] for column in COLUMNS), json.dumps(doc, allow_nan=False))


def _selection(query: JobQuery) -> tuple[str, list[Any]]:
    """Return the statement that reads one job more than the page holds, and its values."""
    conditions: list[str] = []
    values: list[Any] = []
    if query.statuses is not None:
        conditions.append(f"status IN ({', '.join('?' * len(query.statuses))})")
        values += sorted(query.statuses)
    for column in ("group", "owner"):
        if (wanted := getattr(query, column)) is not None:
            conditions.append(f'"{column}" = ?')
            values.append(wanted)
    if query.updated_before is not None:
        conditions.append("updated_at < ?")
        values.append(timestamp(query.updated_before))
    if query.cursor is not None:
        conditions.append("(sort_at, job_id) < (?, ?)")
        values += position(query.cursor)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = " ORDER BY sort_at DESC, job_id DESC LIMIT ?"
    return f"SELECT body FROM jobs{where}{order}", [*values, query.limit + 1]  # noqa: S608


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise StoreUnavailable(f"the job file failed: {error}") from error
    except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:
        raise StorageError(f"the job file refused: {error}") from error


def _switch_to_wal(connection: sqlite3.Connection, within_s: float = 10.0) -> None:
    """Turn the write-ahead log on; SQLite's own time-out does not wait for a rival who does too."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
