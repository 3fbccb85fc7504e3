"""The job store in MongoDB, within the part of its protocol that FerretDB 1.24 supports."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

from bson.errors import BSONError
from pymongo import AsyncMongoClient, InsertOne, ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from storage.errors import StorageError, StorageFull, StoreUnavailable
from storage.jobs.documents import cursor_after, job_from_document, readable_jobs, timestamp
from storage.jobs.mongo.queries import count, find_documents, vectors
from storage.jobs.mongo.schema import bring_up_terms, create_indexes, from_stored, to_stored
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

Document = dict[str, Any]

READ_BATCH = 100  # jobs
# FerretDB 1.24 uses one of its 100 connections for each operation of a command until the command
# ends, and hangs forever when none is left. 20 operations allow four writers at once.
WRITE_BATCH = 20
ATTEMPTS = 50
CLAIM_ATTEMPTS = 20
DUPLICATE_KEY = 11000
OUT_OF_DISK_SPACE = 14031
NOT_ALLOWED = frozenset({13, 18})  # Unauthorized, AuthenticationFailed: an operator can fix these
# Temporary errors by MongoDB's error_codes.yml: elections, shutdowns, full disks, networks.
TEMPORARY = frozenset({
    6, 7, 24, 46, 50, 64, 89, 91, 112, 133, 134, 189, 202, 262, 9001, 10107, 11600, 11602, 13388,
    13435, 13436, 14031,
})  # fmt: skip
TEMPORARY_LABELS = ("RetryableWriteError", "TransientTransactionError")
TIMEOUTS_MS = {
    "serverSelectionTimeoutMS": 3_000,
    "connectTimeoutMS": 3_000,
    "socketTimeoutMS": 20_000,
}


class MongoJobs:
    """A `JobStore` in the URL's database, or ``lookstream`` if the URL names none.

    Writers take no lock. Each write requires the revision that was read; if another writer changed
    the job in between, the job is read and folded again.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: AsyncMongoClient[Document] | None = None
        self._prepared = False
        self._preparing = asyncio.Lock()
        self._closed = False

    async def apply(self, updates: Sequence[JobUpdate]) -> list[Job]:
        batch = group_by_job(updates)
        ids = iter(batch)
        changed: list[Job] = []
        with _translated():
            while part := list(islice(ids, READ_BATCH)):
                changed += await self._apply({job_id: batch[job_id] for job_id in part})
        return changed

    async def get(self, job_id: str) -> Job | None:
        with _translated():
            doc = await (await self._jobs()).find_one({"_id": job_id})
        return None if doc is None else job_from_document(from_stored(doc))

    async def find(self, query: JobQuery) -> JobPage:
        with _translated():
            found = await find_documents(await self._jobs(), query)
            docs = [from_stored(doc) for doc in found[: query.limit]]
        more = cursor_after(docs[-1]) if len(found) > query.limit else None
        return JobPage(readable_jobs(docs), more)

    async def count(self, query: JobQuery, *, at_most: int) -> int:
        with _translated():
            return await count(await self._jobs(), query, at_most)

    async def vectors(self, *, after: tuple[datetime, str], limit: int) -> list[JobVector]:
        with _translated():
            return await vectors(await self._jobs(), after, limit)

    async def claim_idempotency_key(
        self, request: IdempotencyRecord, *, expired: datetime
    ) -> IdempotencyRecord:
        with _translated():
            return await _claim((await self._database())["requests"], request, expired)

    async def idempotency_record(self, key: str) -> IdempotencyRecord | None:
        with _translated():
            return await _record((await self._database())["requests"], key)

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

    async def _database(self) -> AsyncDatabase[Document]:
        """Return the database. Connect on first use, since a client belongs to one event loop."""
        if self._closed:
            raise StoreUnavailable("the job store is closed")
        if self._client is None:
            given = self._url.lower()
            timeouts: dict[str, Any] = {
                name: ms for name, ms in TIMEOUTS_MS.items() if name.lower() not in given
            }
            self._client = AsyncMongoClient(self._url, **timeouts)
        database = self._client.get_default_database("lookstream")
        async with self._preparing:
            if not self._prepared:
                await create_indexes(database)
                await bring_up_terms(database)
                self._prepared = True
        return database

    async def _apply(self, batch: Mapping[str, Sequence[JobUpdate]]) -> list[Job]:
        """Fold and write a batch; repeat after a conflict with another writer.

        After a conflict the whole batch is read again. Folding is idempotent, so jobs that were
        written do not change again, and only the others are written.
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
    return {doc["_id"]: job_from_document(from_stored(doc)) for doc in docs}


def _write(before: Job | None, after: Job) -> InsertOne[Document] | ReplaceOne[Document]:
    doc = to_stored(after)
    if before is None:
        return InsertOne(doc)
    return ReplaceOne({"_id": before.job_id, "revision": before.revision}, doc)


async def _written(
    jobs: AsyncCollection[Document], writes: list[InsertOne[Document] | ReplaceOne[Document]]
) -> bool:
    """Write, and return whether all writes succeeded; False if another writer was first."""
    results = [
        await _write_some(jobs, writes[start : start + WRITE_BATCH])
        for start in range(0, len(writes), WRITE_BATCH)
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


async def _claim(
    requests: AsyncCollection[Document], request: IdempotencyRecord, expired: datetime
) -> IdempotencyRecord:
    """Store ``request``, or return the stored record of its key.

    The key is the document's ``_id``, so the database refuses the second of two records.
    """
    await requests.delete_many({"at": {"$lt": timestamp(expired)}})
    doc = {"_id": request.key, "fingerprint": request.fingerprint, "at": timestamp(request.at)}
    for _ in range(CLAIM_ATTEMPTS):
        try:
            await requests.insert_one(doc)
        except DuplicateKeyError:
            known = await _record(requests, request.key)
            if known is not None:  # another process may have just deleted it as expired
                return known
        else:
            return request
    raise StoreUnavailable("other writers keep changing the same idempotency key")


async def _record(requests: AsyncCollection[Document], key: str) -> IdempotencyRecord | None:
    found = await requests.find_one({"_id": key})
    if found is None:
        return None
    return IdempotencyRecord(key, found["fingerprint"], datetime.fromisoformat(found["at"]))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout, WTimeoutError) as error:
        name = type(error).__name__
        raise StoreUnavailable(f"the job database is unavailable: {name}") from error
    except OperationFailure as error:
        if error.code in NOT_ALLOWED:
            raise StoreUnavailable(
                "the job database refused the login or the permission"
            ) from error
        if error.code == OUT_OF_DISK_SPACE:
            raise StorageFull("the disk of the job database is full") from error
        if _is_temporary(error):
            raise StoreUnavailable(f"the job database failed: code {error.code}") from error
        raise StorageError(f"the job database refused: code {error.code}") from error
    except (PyMongoError, BSONError, OverflowError, ValueError) as error:
        raise StorageError(f"the job database refused: {type(error).__name__}") from error


def _is_temporary(error: OperationFailure) -> bool:
    """Tell whether the same call may succeed later."""
    details = error.details or {}
    codes = {failure.get("code") for failure in details.get("writeErrors", ())}
    if isinstance(error, BulkWriteError) and not codes:
        return True  # written, but not acknowledged by as many servers as required
    temporary = TEMPORARY | {DUPLICATE_KEY} if codes else TEMPORARY
    labelled = any(error.has_error_label(label) for label in TEMPORARY_LABELS)
    return labelled or (codes or {error.code}) <= temporary
