"""The tables and indexes of a job file (SQLite), and the migrations from versions 1 and 2."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from storage.errors import StorageError
from storage.jobs.documents import job_from_document, timestamp
from storage.jobs.store import Job
from storage.jobs.terms import NO_REVIEW, REVIEW_FIELD, REVIEW_NEEDED, job_terms

VERSION = 3
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
# Only the indexes by status, age and writing contain deleted jobs.
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
ADD_REVIEW_TERMS = f"""
    INSERT OR IGNORE INTO terms (term, sort_at, job_id)
    SELECT ?, sort_at, job_id FROM jobs
    WHERE CASE WHEN json_valid(body)
    THEN json_type(body, '$.stages.{REVIEW_FIELD[0]}.result.{REVIEW_FIELD[1]}') END = ?
"""  # noqa: S608

TermRow = tuple[str, str, str]


def create_or_migrate(connection: sqlite3.Connection) -> None:
    """Create the tables, or migrate those of an older version. Safe in several processes at once.

    Raises `StorageError` for a file of a version newer than `VERSION`.
    """
    _switch_to_wal(connection)
    if _version(connection) == VERSION:
        return
    with transaction(connection):
        version = _version(connection)
        if version > VERSION:
            raise StorageError(
                f"the job file has version {version}; this program reads up to {VERSION}"
            )
        if version < VERSION:
            if version < 2:
                _build(connection)
            else:
                _add_review_terms(connection)
            connection.execute(f"PRAGMA user_version = {VERSION}")


def term_rows(job: Job | None) -> set[TermRow]:
    """Return the rows of ``job`` in the table of terms."""
    if job is None:
        return set()
    sort_at = timestamp(job.submitted_at or job.updated_at) or ""
    return {(term, sort_at, job.job_id) for term in job_terms(job)}


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock. Commit at the end of the block, or roll back after an exception."""
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
    """Create tables and indexes. A file of version 1 has no version number, only ``jobs``."""
    old = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone()
    if old:
        connection.execute("ALTER TABLE jobs RENAME TO jobs_of_version_1")
    for statement in TABLES:
        connection.execute(statement)
    if old:
        _copy_version_1(connection)
    for statement in INDEXES:
        connection.execute(statement)


def _copy_version_1(connection: sqlite3.Connection) -> None:
    connection.execute(
        f"INSERT INTO jobs ({NEW_COLUMNS}) SELECT {OLD_COLUMNS} FROM jobs_of_version_1"  # noqa: S608
    )
    connection.execute("DROP TABLE jobs_of_version_1")
    for (body,) in connection.execute("SELECT body FROM jobs"):
        connection.executemany(ADD_TERM, sorted(term_rows(job_from_document(json.loads(body)))))


def _add_review_terms(connection: sqlite3.Connection) -> None:
    """Migrate from version 2, which had no terms of the review mark."""
    for term, kind in ((REVIEW_NEEDED, "true"), (NO_REVIEW, "false")):
        connection.execute(ADD_REVIEW_TERMS, (term, kind))


def _switch_to_wal(connection: sqlite3.Connection, within_s: float = 10.0) -> None:
    """Turn the write-ahead log on; retry, since SQLite does not wait for another process here."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
