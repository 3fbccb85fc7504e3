"""Jobs in one SQLite file, which any number of processes of this machine may share."""

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

from storage.errors import StorageError, StoreUnavailable
from storage.jobs.documents import cursor, document, job, timestamp
from storage.jobs.sqlite.queries import bodies, count
from storage.jobs.sqlite.schema import ADD_TERM, REMOVE_TERM, prepare, term_rows, transaction
from storage.jobs.sqlite.vectors import vectors
from storage.jobs.store import (
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

CACHE_KB = 16_000  # terms come in no order: their pages are wanted again soon
COLUMNS = ("job_id", "status", "owner", "group", "updated_at")
UPSERT = (
    'INSERT OR REPLACE INTO jobs (job_id, status, owner, "group", updated_at, written_at, sort_at,'
    " body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


class SqliteJobs:
    """A `JobStore` in one file. All of SQLite's work is done in one thread of its own.

    A batch is one IMMEDIATE transaction: it takes the write lock before it reads, so two
    processes change jobs one after the other and no update is lost. Callers who come while one
    is being written share the next: one sync, one turn of the thread and one word to the event
    loop cost the same for all of them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-jobs")
        self._open: sqlite3.Connection | None = None
        self._closed = False
        self._waiting: list[_Turn] = []
        self._lock = threading.Lock()  # of those who wait

    async def apply(self, updates: Sequence[JobUpdate]) -> list[Job]:
        self._refuse_if_closed()
        loop = asyncio.get_running_loop()
        turn = _Turn(updates, loop.create_future(), loop)
        with self._lock:
            self._waiting.append(turn)
            first = len(self._waiting) == 1
        if first:
            self._thread.submit(self._apply_waiting)
        try:
            await turn.written
        except asyncio.CancelledError:
            with self._lock, contextlib.suppress(ValueError):
                self._waiting.remove(turn)
            raise
        return turn.outcome()

    async def get(self, job_id: str) -> Job | None:
        return await self._run(lambda connection: _read(connection, job_id))

    async def find(self, query: JobQuery) -> JobPage:
        rows = await self._run(lambda connection: bodies(connection, query))
        docs = [json.loads(body) for body in rows[: query.limit]]
        more = cursor(docs[-1]) if len(rows) > query.limit else None
        return JobPage(tuple(job(doc) for doc in docs), more)

    async def count(self, query: JobQuery, *, at_most: int) -> int:
        return await self._run(lambda connection: count(connection, query, at_most))

    async def vectors(self, *, after: tuple[datetime, str], limit: int) -> list[JobVector]:
        return await self._run(lambda connection: vectors(connection, after, limit))

    async def claim_idempotency_key(
        self, request: IdempotencyRecord, *, expired: datetime
    ) -> IdempotencyRecord:
        return await self._run(lambda connection: _keep(connection, request, expired))

    async def clear(self) -> None:
        await self._run(_clear)

    async def check(self) -> None:
        await self._run(lambda connection: connection.execute("SELECT 1 FROM jobs LIMIT 1"))

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
            turns, self._waiting = self._waiting, []
        try:
            with _translated():
                _together(self._connection(), turns)
        except Exception as error:  # noqa: BLE001 - whatever it is, each caller hears of it
            for turn in turns:
                turn.error = error
        for loop, own in _by_loop(turns).items():
            with contextlib.suppress(RuntimeError):  # it was closed meanwhile: nobody listens
                loop.call_soon_threadsafe(_tell, own)

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=10.0, isolation_level=None)
            try:
                # FULL: a job that the gateway has accepted must survive a power cut, since the
                # embedded broker forgets and the sweeper can only find what is here. A batch is
                # one commit, so this costs one sync a batch.
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA cache_size = -{CACHE_KB}")
                prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._open = connection
        return self._open

    def _disconnect(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


@dataclass(eq=False)
class _Turn:
    """One caller's batch, and what came of it once it is ``written``."""

    updates: Sequence[JobUpdate]
    written: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop
    changed: list[Job] = field(default_factory=list)
    error: Exception | None = None

    def outcome(self) -> list[Job]:
        if self.error is not None:
            raise self.error
        return self.changed


def _by_loop(turns: Sequence[_Turn]) -> dict[asyncio.AbstractEventLoop, list[_Turn]]:
    own: dict[asyncio.AbstractEventLoop, list[_Turn]] = {}
    for turn in turns:
        own.setdefault(turn.loop, []).append(turn)
    return own


def _tell(turns: Sequence[_Turn]) -> None:
    for turn in turns:
        if not turn.written.done():  # the caller was cancelled
            turn.written.set_result(None)


def _together(connection: sqlite3.Connection, turns: Sequence[_Turn]) -> None:
    """Write for all in one transaction; a batch that is refused fails no other."""
    try:
        with _translated(), transaction(connection):
            for turn in turns:
                turn.changed = _apply(connection, turn.updates)
    except StorageError as error:
        if len(turns) > 1 and not isinstance(error, StoreUnavailable):
            for turn in turns:
                _together(connection, [turn])
            return
        for turn in turns:
            turn.error = error


def _apply(connection: sqlite3.Connection, updates: Sequence[JobUpdate]) -> list[Job]:
    """Change the jobs. The time of writing is read under the lock: it goes as the commits go."""
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
    return None if row is None else job(json.loads(row[0]))


def _write(
    connection: sqlite3.Connection, before: Job | None, after: Job, written_at: str | None
) -> None:
    doc = document(after)
    columns = [*(doc[column] for column in COLUMNS), written_at, doc["sort_at"]]
    connection.execute(UPSERT, (*columns, json.dumps(doc, allow_nan=False)))
    old, new = term_rows(before), term_rows(after)
    connection.executemany(REMOVE_TERM, sorted(old - new))
    connection.executemany(ADD_TERM, sorted(new - old))


def _keep(
    connection: sqlite3.Connection, request: IdempotencyRecord, expired: datetime
) -> IdempotencyRecord:
    with transaction(connection):
        connection.execute("DELETE FROM requests WHERE at < ?", (timestamp(expired),))
        connection.execute(
            "INSERT OR IGNORE INTO requests (key, fingerprint, at) VALUES (?, ?, ?)",
            (request.key, request.fingerprint, timestamp(request.at)),
        )
        kept = connection.execute(
            "SELECT fingerprint, at FROM requests WHERE key = ?", (request.key,)
        ).fetchone()
    return IdempotencyRecord(request.key, kept[0], datetime.fromisoformat(kept[1]))


def _clear(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        connection.execute("DELETE FROM jobs")
        connection.execute("DELETE FROM terms")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise StoreUnavailable(f"the job file failed: {error}") from error
    except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:
        raise StorageError(f"the job file refused: {error}") from error
