"""Jobs in MongoDB, in the subset of its protocol that FerretDB 1.24 has too."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from bson.errors import BSONError
from pymongo import AsyncMongoClient, InsertOne, ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from storage.errors import StorageError, StoreUnavailable
from storage.jobs.documents import cursor, document, job, timestamp
from storage.jobs.mongo.queries import INDEXES, ORDER, selection
from storage.jobs.mongo.schema import escaped, keep, unescaped
from storage.jobs.mongo.vectors import vectors
from storage.jobs.store import (
    IdempotencyRecord,
    Job,
    JobPage,
    JobQuery,
    JobUpdate,
    JobVector,
    group_by_job,
)
from storage.jobs.terms import terms
from storage.jobs.transition import fold

Document = dict[str, Any]

BATCH = 100  # jobs read at a time
# FerretDB 1.24 keeps one of its 100 connections for each operation of a command until the end, and
# hangs for good when they run out: four writers at once can do 20 each.
OPERATIONS = 20
ATTEMPTS = 50
DUPLICATE_KEY = 11000
NOT_ALLOWED = frozenset({13, 18})  # Unauthorized, AuthenticationFailed: an operator can mend that
# Elections, shutdowns, full disks and networks, by MongoDB's error_codes.yml: they pass.
PASSING = frozenset({
    6, 7, 24, 46, 50, 64, 89, 91, 112, 133, 134, 189, 202, 262, 9001, 10107, 11600, 11602, 13388,
    13435, 13436, 14031,
})  # fmt: skip
PASSING_LABELS = ("RetryableWriteError", "TransientTransactionError")
WAITS_MS = {
    "serverSelectionTimeoutMS": 3_000,
    "connectTimeoutMS": 3_000,
    "socketTimeoutMS": 20_000,
}


class MongoJobs:
    """A `JobStore` in the collection ``jobs`` of the URL's database (``lookstream`` if unnamed).

    Writers do not lock: each write asks for the revision that was read, and a job that another
    writer changed in between is read and folded again.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: AsyncMongoClient[Document] | None = None
        self._indexed = False
        self._closed = False

    async def apply(self, updates: Sequence[JobUpdate]) -> list[Job]:
        batch = group_by_job(updates)
        ids = iter(batch)
        changed: list[Job] = []
        with _translated():
            while part := list(islice(ids, BATCH)):
                changed += await self._apply({job_id: batch[job_id] for job_id in part})
        return changed

    async def get(self, job_id: str) -> Job | None:
        with _translated():
            doc = await (await self._jobs()).find_one({"_id": job_id})
        return None if doc is None else job(_loaded(doc))

    async def find(self, query: JobQuery) -> JobPage:
        wanted = selection(query)
        with _translated():
            found = (await self._jobs()).find(wanted).sort(ORDER).limit(query.limit + 1)
            docs = [_loaded(doc) for doc in await found.to_list()]
        page = docs[: query.limit]
        more = cursor(page[-1]) if len(docs) > query.limit else None
        return JobPage(tuple(job(doc) for doc in page), more)

    async def count(self, query: JobQuery, *, at_most: int) -> int:
        wanted = selection(query, paged=False)
        with _translated():
            return await (await self._jobs()).count_documents(wanted, limit=at_most)

    async def vectors(self, *, after: tuple[datetime, str], limit: int) -> list[JobVector]:
        with _translated():
            return await vectors(await self._jobs(), after, limit)

    async def claim_idempotency_key(
        self, request: IdempotencyRecord, *, expired: datetime
    ) -> IdempotencyRecord:
        with _translated():
            return await keep(await self._requests(), request, expired)

    async def clear(self) -> None:
        with _translated():
            await (await self._jobs()).delete_many({})

    async def check(self) -> None:
        with _translated():
            await (await self._jobs()).find_one({}, {"_id": 1})

    async def close(self) -> None:
        self._closed = True
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _jobs(self) -> AsyncCollection[Document]:
        return (await self._database())["jobs"]

    async def _requests(self) -> AsyncCollection[Document]:
        return (await self._database())["requests"]

    async def _database(self) -> AsyncDatabase[Document]:
        """Return the database, connected on first use: a client belongs to its event loop."""
        if self._closed:
            raise StoreUnavailable("the job store is closed")
        if self._client is None:
            given = self._url.lower()
            waits: dict[str, Any] = {
                name: ms for name, ms in WAITS_MS.items() if name.lower() not in given
            }
            self._client = AsyncMongoClient(self._url, **waits)
        database = self._client.get_default_database("lookstream")
        if not self._indexed:
            for keys in INDEXES:
                await database["jobs"].create_index(keys)
            await database["requests"].create_index("at")
            self._indexed = True
        return database

    async def _apply(self, batch: Mapping[str, Sequence[JobUpdate]]) -> list[Job]:
        """Fold a batch until no other writer came between.

        After a conflict the whole batch is read again. Folding is idempotent, so a job that was
        written comes out unchanged, and only the others are written once more.
        """
        jobs = await self._jobs()
        changed: set[str] = set()
        for attempt in range(ATTEMPTS):
            before = await _read(jobs, batch)
            folded = {job_id: fold(before.get(job_id), own) for job_id, own in batch.items()}
            after = {job_id: now for job_id, now in folded.items() if now is not None}
            writes = {
                job_id: _write(before.get(job_id), now)
                for job_id, now in after.items()
                if now is not before.get(job_id)
            }
            changed.update(writes)
            if not writes or await _written(jobs, list(writes.values())):
                return [now for job_id, now in after.items() if job_id in changed]
            await asyncio.sleep(random.uniform(0, 0.01) * min(attempt + 1, 10))  # noqa: S311
        raise StoreUnavailable("other writers keep changing the same jobs")


async def _read(jobs: AsyncCollection[Document], ids: Mapping[str, Any]) -> dict[str, Job]:
    docs = await jobs.find({"_id": {"$in": list(ids)}}).to_list()
    return {doc["_id"]: job(_loaded(doc)) for doc in docs}


def _write(before: Job | None, after: Job) -> InsertOne[Document] | ReplaceOne[Document]:
    doc = stored(after)
    if before is None:
        return InsertOne(doc)
    return ReplaceOne({"_id": before.job_id, "revision": before.revision}, doc)


async def _written(
    jobs: AsyncCollection[Document], writes: list[InsertOne[Document] | ReplaceOne[Document]]
) -> bool:
    """Write, and tell whether all of it went through; False when another writer was first."""
    results = [
        await _write_some(jobs, writes[start : start + OPERATIONS])
        for start in range(0, len(writes), OPERATIONS)
    ]
    return all(results)


async def _write_some(
    jobs: AsyncCollection[Document], writes: list[InsertOne[Document] | ReplaceOne[Document]]
) -> bool:
    replacements = sum(isinstance(write, ReplaceOne) for write in writes)
    try:
        result = await jobs.bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        codes = {failure.get("code") for failure in error.details.get("writeErrors", ())}
        if codes == {DUPLICATE_KEY}:
            return False
        raise
    return result.matched_count == replacements


def stored(job: Job) -> Document:
    """Return the document with what it is found by, and the time that it is written at."""
    doc: Document = escaped(document(job))
    found_by = {"terms": list(terms(job)), "written_at": timestamp(datetime.now(UTC))}
    return {"_id": doc.pop("job_id"), **doc, **found_by}


def _loaded(doc: Mapping[str, Any]) -> Document:
    return {**unescaped(doc), "job_id": doc["_id"]}


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout, WTimeoutError) as error:
        name = type(error).__name__
        raise StoreUnavailable(f"the job database is out of reach: {name}") from error
    except OperationFailure as error:
        if error.code in NOT_ALLOWED:
            raise StoreUnavailable("the job database does not let us in") from error
        if _passes(error):
            raise StoreUnavailable(f"the job database cannot now: code {error.code}") from error
        raise StorageError(f"the job database refused: code {error.code}") from error
    except (PyMongoError, BSONError, OverflowError, ValueError) as error:
        raise StorageError(f"the job database refused: {type(error).__name__}") from error


def _passes(error: OperationFailure) -> bool:
    """Tell whether the database could not, rather than would not."""
    details = error.details or {}
    codes = {failure.get("code") for failure in details.get("writeErrors", ())}
    if isinstance(error, BulkWriteError) and not codes:
        return True  # written, and not by as many servers as were asked for
    passing = PASSING | {DUPLICATE_KEY} if codes else PASSING
    labelled = any(error.has_error_label(label) for label in PASSING_LABELS)
    return labelled or (codes or {error.code}) <= passing
