"""The job store in one SQLite file, shared by any number of processes on one machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from storage.errors import StorageError, StorageFull, StoreUnavailable, is_disk_full
from storage.jobs.documents import (
    cursor_after,
    job_document,
    job_from_document,
    readable_jobs,
    timestamp,
)
from storage.jobs.sqlite.files import Reserve, make_private
from storage.jobs.sqlite.queries import count, find_documents, vectors
from storage.jobs.sqlite.schema import (
    ADD_TERM,
    REMOVE_TERM,
    create_or_migrate,
    term_rows,
    transaction,
)
from storage.jobs.store import (
    Deleted,
    IdempotencyRecord,
    Job,
    JobPage,
    JobQuery,
    JobUpdate,
    JobVector,
    group_by_job,
)
from storage.jobs.transition import fold

T = TypeVar("T")

CACHE_KB = 16_000  # terms are written in random order, so their pages are soon needed again
COLUMNS = ("job_id", "status", "owner", "group", "updated_at")
UPSERT = (
    'INSERT OR REPLACE INTO jobs (job_id, status, owner, "group", updated_at, written_at, sort_at,'
    " body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


class SqliteJobs:
    """A `JobStore` in one file. One thread makes all calls to SQLite.

    A batch is one IMMEDIATE transaction: it takes the write lock before it reads, so no update of
    another process is lost. Batches that arrive during a transaction share the next one, which
    saves syncs and switches between threads.

    Only its owner can read the file. A file of 1 MB beside it reserves disk space: on a full disk,
    that file is removed so that jobs can be deleted. All other updates raise `StorageFull` then.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reserve = Reserve(path.with_name(f"{path.name}-reserve"))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-jobs")
        self._open: sqlite3.Connection | None = None
        self._closed = False
        self._waiting: list[_Batch] = []
        self._lock = threading.Lock()  # guards _waiting

    async def apply(self, updates: Sequence[JobUpdate]) -> list[Job]:
        self._refuse_if_closed()
        loop = asyncio.get_running_loop()
        batch = _Batch(updates, loop.create_future(), loop)
        with self._lock:
            self._waiting.append(batch)
            first = len(self._waiting) == 1
        if first:
            self._thread.submit(self._apply_waiting)
        try:
            await batch.written
        except asyncio.CancelledError:
            with self._lock, contextlib.suppress(ValueError):
                self._waiting.remove(batch)
            raise
        return batch.outcome()

    async def get(self, job_id: str) -> Job | None:
        return await self._run(lambda connection: _read(connection, job_id))

    async def find(self, query: JobQuery) -> JobPage:
        docs = await self._run(lambda connection: find_documents(connection, query))
        page = docs[: query.limit]
        more = cursor_after(page[-1]) if len(docs) > query.limit else None
        return JobPage(readable_jobs(page), more)

    async def count(self, query: JobQuery, *, at_most: int) -> int:
        return await self._run(lambda connection: count(connection, query, at_most))

    async def vectors(self, *, after: tuple[datetime, str], limit: int) -> list[JobVector]:
        return await self._run(lambda connection: vectors(connection, after, limit))

    async def claim_idempotency_key(
        self, request: IdempotencyRecord, *, expired: datetime
    ) -> IdempotencyRecord:
        return await self._run(lambda connection: _claim(connection, request, expired))

    async def idempotency_record(self, key: str) -> IdempotencyRecord | None:
        return await self._run(lambda connection: _record(connection, key))

    async def check(self) -> None:
        await self._run(lambda connection: connection.execute("SELECT 1 FROM jobs LIMIT 1"))
        await asyncio.get_running_loop().run_in_executor(self._thread, self._reserve.fill)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._refuse_if_closed()

        def call() -> T:
            with _translated():
                return work(self._connection())

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable("the job store is closed")

    def _apply_waiting(self) -> None:
        with self._lock:
            batches, self._waiting = self._waiting, []
        try:
            with _translated():
                _apply_batches(self._connection(), batches, self._reserve)
        except Exception as error:  # noqa: BLE001 - each caller raises it
            for batch in batches:
                batch.error = error
        for loop, own in _by_loop(batches).items():
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(_report, own)

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            make_private(self._path)
            connection = sqlite3.connect(self._path, timeout=10.0, isolation_level=None)
            try:
                # FULL: an accepted job must survive a power cut. The embedded broker loses its
                # events, and the sweeper finds jobs only here. The cost is one sync a batch.
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA cache_size = -{CACHE_KB}")
                create_or_migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._open = connection
            self._reserve.fill()
        return self._open

    def _disconnect(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


@dataclass(eq=False)
class _Batch:
    """One caller's updates, and the result once ``written`` is done."""

    updates: Sequence[JobUpdate]
    written: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop
    changed: list[Job] = field(default_factory=list)
    error: Exception | None = None

    @property
    def deletes(self) -> bool:
        """Tell whether all updates are deletions, for which space is kept."""
        return all(isinstance(update, Deleted) for update in self.updates)

    def outcome(self) -> list[Job]:
        if self.error is not None:
            raise self.error
        return self.changed


def _by_loop(batches: Sequence[_Batch]) -> dict[asyncio.AbstractEventLoop, list[_Batch]]:
    own: dict[asyncio.AbstractEventLoop, list[_Batch]] = {}
    for batch in batches:
        own.setdefault(batch.loop, []).append(batch)
    return own


def _report(batches: Sequence[_Batch]) -> None:
    for batch in batches:
        if not batch.written.done():  # the caller was cancelled
            batch.written.set_result(None)


def _apply_batches(
    connection: sqlite3.Connection, batches: Sequence[_Batch], reserve: Reserve
) -> None:
    """Write all batches in one transaction. A batch that is refused does not fail the others."""
    try:
        with _translated(), transaction(connection):
            for batch in batches:
                batch.changed = _apply(connection, batch.updates)
    except StorageFull as error:
        for batch in batches:
            batch.error = error
        deletions = [each for each in batches if each.deletes]
        if deletions and reserve.release():
            for batch in deletions:
                batch.error = None
            _apply_batches(connection, deletions, reserve)
    except StorageError as error:
        if len(batches) > 1 and not isinstance(error, StoreUnavailable):
            for batch in batches:
                _apply_batches(connection, [batch], reserve)
            return
        for batch in batches:
            batch.error = error


def _apply(connection: sqlite3.Connection, updates: Sequence[JobUpdate]) -> list[Job]:
    """Change the jobs. ``written_at`` is the time under the write lock, so it grows from one commit
    to the next."""
    changed: list[Job] = []
    now = timestamp(datetime.now(UTC))
    for job_id, own in group_by_job(updates).items():
        before = _read(connection, job_id)
        after = fold(before, own)
        if after is not None and after is not before:
            _write(connection, before, after, now)
            changed.append(after)
    return changed


def _read(connection: sqlite3.Connection, job_id: str) -> Job | None:
    row = connection.execute("SELECT body FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    return None if row is None else job_from_document(json.loads(row[0]))


def _write(
    connection: sqlite3.Connection, before: Job | None, after: Job, written_at: str | None
) -> None:
    doc = job_document(after)
    columns = [*(doc[column] for column in COLUMNS), written_at, doc["sort_at"]]
    connection.execute(UPSERT, (*columns, json.dumps(doc, allow_nan=False)))
    old, new = term_rows(before), term_rows(after)
    connection.executemany(REMOVE_TERM, sorted(old - new))
    connection.executemany(ADD_TERM, sorted(new - old))


def _claim(
    connection: sqlite3.Connection, request: IdempotencyRecord, expired: datetime
) -> IdempotencyRecord:
    with transaction(connection):
        connection.execute("DELETE FROM requests WHERE at < ?", (timestamp(expired),))
        connection.execute(
            "INSERT OR IGNORE INTO requests (key, fingerprint, at) VALUES (?, ?, ?)",
            (request.key, request.fingerprint, timestamp(request.at)),
        )
        stored = connection.execute(
            "SELECT fingerprint, at FROM requests WHERE key = ?", (request.key,)
        ).fetchone()
    return IdempotencyRecord(request.key, stored[0], datetime.fromisoformat(stored[1]))


def _record(connection: sqlite3.Connection, key: str) -> IdempotencyRecord | None:
    found = connection.execute(
        "SELECT fingerprint, at FROM requests WHERE key = ?", (key,)
    ).fetchone()
    return found and IdempotencyRecord(key, found[0], datetime.fromisoformat(found[1]))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        if _is_full(error):
            raise StorageFull("the disk of the job file is full") from error
        raise StoreUnavailable(f"the job file failed: {error}") from error
    except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:
        raise StorageError(f"the job file refused: {error}") from error


def _is_full(error: sqlite3.OperationalError | OSError) -> bool:
    if isinstance(error, OSError):
        return is_disk_full(error)
    return error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
