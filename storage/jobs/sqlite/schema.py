"""The tables of a job file, and how a file of an earlier version becomes one of this."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from storage.errors import StorageError
from storage.jobs.documents import job, timestamp
from storage.jobs.store import Job
from storage.jobs.terms import terms

VERSION = 2
TABLES = (
    """
    CREATE TABLE jobs (
        job_id TEXT PRIMARY KEY,
        status TEXT NOT NULL,
        owner TEXT,
        "group" TEXT,
        updated_at TEXT NOT NULL,
        written_at TEXT NOT NULL,
        sort_at TEXT NOT NULL,
        body TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE terms (
        term TEXT NOT NULL,
        sort_at TEXT NOT NULL,
        job_id TEXT NOT NULL,
        PRIMARY KEY (term, sort_at, job_id)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE requests (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, at TEXT NOT NULL)",
)
# Deleted jobs are in the indexes by status alone: a listing that leaves them out never meets them.
INDEXES = (
    """CREATE INDEX jobs_in_order ON jobs (sort_at DESC, job_id DESC) WHERE status <> 'deleted'""",
    """CREATE INDEX jobs_by_status ON jobs (status, sort_at DESC, job_id DESC)""",
    """
    CREATE INDEX jobs_by_group ON jobs ("group", sort_at DESC, job_id DESC)
    WHERE status <> 'deleted'
    """,
    """CREATE INDEX jobs_by_group_status ON jobs ("group", status, sort_at DESC, job_id DESC)""",
    """
    CREATE INDEX jobs_by_owner ON jobs (owner, sort_at DESC, job_id DESC)
    WHERE status <> 'deleted'
    """,
    """CREATE INDEX jobs_by_age ON jobs (status, updated_at)""",
    """CREATE INDEX jobs_by_writing ON jobs (written_at)""",
    """CREATE INDEX jobs_by_group_writing ON jobs ("group", written_at)""",
    """CREATE INDEX requests_by_age ON requests (at)""",
)
OLD_COLUMNS = 'job_id, status, owner, "group", updated_at, updated_at, sort_at, body'
NEW_COLUMNS = 'job_id, status, owner, "group", updated_at, written_at, sort_at, body'
ADD_TERM = "INSERT OR IGNORE INTO terms (term, sort_at, job_id) VALUES (?, ?, ?)"
REMOVE_TERM = "DELETE FROM terms WHERE term = ? AND sort_at = ? AND job_id = ?"

TermRow = tuple[str, str, str]


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, or bring those of version 1 up; several processes may do so at once.

    Raises `StorageError` for a file of a newer version than this program's.
    """
    _switch_to_wal(connection)
    if _version(connection) == VERSION:
        return
    with transaction(connection):
        version = _version(connection)
        if version > VERSION:
            raise StorageError(f"the job file is of version {version}, newer than this program")
        if version < VERSION:
            _build(connection)
            connection.execute(f"PRAGMA user_version = {VERSION}")


def term_rows(job: Job | None) -> set[TermRow]:
    """Return what the table of terms holds of ``job``."""
    if job is None:
        return set()
    place = timestamp(job.submitted_at or job.updated_at) or ""
    return {(term, place, job.job_id) for term in terms(job)}


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock; all that is written inside is there in the end, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _build(connection: sqlite3.Connection) -> None:
    """Make everything; version 1, which bore no number, had the table of jobs alone."""
    old = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone()
    if old:
        connection.execute("ALTER TABLE jobs RENAME TO jobs_of_version_1")
    for statement in TABLES:
        connection.execute(statement)
    if old:
        _take_over(connection)
    for statement in INDEXES:
        connection.execute(statement)


def _take_over(connection: sqlite3.Connection) -> None:
    connection.execute(
        f"INSERT INTO jobs ({NEW_COLUMNS}) SELECT {OLD_COLUMNS} FROM jobs_of_version_1"  # noqa: S608
    )
    connection.execute("DROP TABLE jobs_of_version_1")
    for (body,) in connection.execute("SELECT body FROM jobs"):
        connection.executemany(ADD_TERM, sorted(term_rows(job(json.loads(body)))))


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
