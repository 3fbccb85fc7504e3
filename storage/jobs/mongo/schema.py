"""The collections in MongoDB: indexes, and documents in the form that is stored.

``jobs`` holds one document for each job; ``requests`` holds the idempotency records; ``meta`` holds
the version of the stored search terms.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from storage.jobs.documents import job_document, timestamp
from storage.jobs.store import Job
from storage.jobs.terms import NO_REVIEW, REVIEW_FIELD, REVIEW_NEEDED, job_terms

LISTING_ORDER = [("sort_at", -1), ("_id", -1)]
INDEXES = [
    [("status", 1), *LISTING_ORDER],
    [("group", 1), ("status", 1), *LISTING_ORDER],
    [("owner", 1), ("status", 1), *LISTING_ORDER],
    [("terms", 1), *LISTING_ORDER],
    [("status", 1), ("updated_at", 1)],
    [("written_at", 1), ("_id", 1)],
    [("group", 1), ("written_at", 1)],
]
VERSION = 2
"""The version of the terms in the documents. Version 1, of databases without a version, has no
terms of the review mark."""
MIGRATED_AT_ONCE = 500
SPECIAL = re.compile(r"[%.$\x00]")
LIST = "%"  # cannot be an escaped key: there a percent sign has two digits after it

Document = dict[str, Any]


async def create_indexes(database: AsyncDatabase[Document]) -> None:
    """Create the indexes that do not exist yet."""
    for keys in INDEXES:
        await database["jobs"].create_index(keys)
    await database["requests"].create_index("at")


async def bring_up_terms(database: AsyncDatabase[Document]) -> None:
    """Add the terms that documents of version 1 lack. Safe in several processes at once.

    Reads the jobs in pages by id, so that no call takes long, and stores the last id, so that the
    next process continues after an interruption. A document that a program of the old version
    writes later has the new terms after the job's next event.
    """
    meta, jobs = database["meta"], database["jobs"]
    known = (await meta.find_one({"_id": "terms"})) or {}
    if known.get("version", 1) >= VERSION:
        return
    last = known.get("after", "")
    path = f"stages.{REVIEW_FIELD[0]}.result.{REVIEW_FIELD[1]}"
    while page := await _ids_after(jobs, last):
        for needed, term in ((True, REVIEW_NEEDED), (False, NO_REVIEW)):
            with_mark = {"_id": {"$in": page}, path: needed}
            await jobs.update_many(with_mark, {"$addToSet": {"terms": term}})
        last = page[-1]
        await meta.update_one({"_id": "terms"}, {"$set": {"after": last}}, upsert=True)
    done = {"$set": {"version": VERSION}, "$unset": {"after": ""}}
    await meta.update_one({"_id": "terms"}, done, upsert=True)


async def _ids_after(jobs: AsyncCollection[Document], last: str) -> list[str]:
    """Return the ids of the next jobs, by the index on ``_id``."""
    found = jobs.find({"_id": {"$gt": last}}, {"_id": 1}).sort("_id", 1).limit(MIGRATED_AT_ONCE)
    return [doc["_id"] async for doc in found]


def to_stored(job: Job) -> Document:
    """Return the document to store, with the job's terms and the present time as ``written_at``."""
    doc: Document = escaped(job_document(job))
    index_fields = {"terms": list(job_terms(job)), "written_at": timestamp(datetime.now(UTC))}
    return {"_id": doc.pop("job_id"), **doc, **index_fields}


def from_stored(doc: Mapping[str, Any]) -> Document:
    """Return the document of a job as it was before `to_stored`."""
    return {**unescaped(doc), "job_id": doc["_id"]}


def escaped(value: Any) -> Any:
    """Return ``value`` in a form that every database of MongoDB's protocol accepts.

    Percent-encodes ``%``, ``.``, ``$`` and NUL in keys, and wraps each list inside a list. Raises
    ValueError for a number that is not finite.
    """
    if isinstance(value, Mapping):
        return {_escape(key): escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_wrapped(escaped(inner)) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a document has finite numbers only")
    return value


def unescaped(value: Any) -> Any:
    """Undo `escaped`."""
    if isinstance(value, Mapping):
        if LIST in value:
            return unescaped(value[LIST])
        return {unquote(key): unescaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [unescaped(inner) for inner in value]
    return value


def _wrapped(value: Any) -> Any:
    return {LIST: value} if isinstance(value, list) else value


def _escape(key: str) -> str:
    return SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", str(key))
