"""Find, count and list jobs in MongoDB: the filters of the queries.

Filters are made so that `schema.INDEXES` serve them. For a list of statuses MongoDB reads an index
once for each status and merges the results in order ("explode for sort"). For that reason a query
that leaves out deleted jobs names all other statuses. A query by several terms uses the index for
one term and compares the others on the documents found. FerretDB 1.24 has no index except that of
``_id`` and scans the collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from storage.jobs.documents import parse_cursor, timestamp
from storage.jobs.mongo.schema import LISTING_ORDER
from storage.jobs.store import NOT_DELETED, VECTOR_FIELDS, JobQuery, JobVector, job_vector
from storage.jobs.terms import query_terms

VECTOR_ORDER = [("written_at", 1), ("_id", 1)]
VECTOR_PROJECTION = {
    **{"written_at": 1, "group": 1},
    **{f"stages.{stage}.result.{name}": 1 for stage, name in VECTOR_FIELDS.values()},
}

Jobs = AsyncCollection[dict[str, Any]]


async def find_documents(jobs: Jobs, query: JobQuery) -> list[dict[str, Any]]:
    """Return the stored documents of a page in order, and one more if there is a next page."""
    found = jobs.find(query_filter(query)).sort(LISTING_ORDER).limit(query.limit + 1)
    return await found.to_list()


async def count(jobs: Jobs, query: JobQuery, at_most: int) -> int:
    """Return the number of jobs that match, or ``at_most``."""
    return await jobs.count_documents(query_filter(query, paged=False), limit=at_most)


async def vectors(jobs: Jobs, after: tuple[datetime, str], limit: int) -> list[JobVector]:
    """Return the vectors of the first ``limit`` jobs after a position, by time of writing."""
    at, job_id = timestamp(after[0]), after[1]
    later = [{"written_at": {"$gt": at}}, {"written_at": at, "_id": {"$gt": job_id}}]
    wanted = {"written_at": {"$gte": at}, "$or": later}
    found = jobs.find(wanted, VECTOR_PROJECTION).sort(VECTOR_ORDER).limit(limit)
    return [
        job_vector(doc["_id"], doc["written_at"], doc.get("group"), _vector_fields(doc))
        for doc in await found.to_list()
    ]


def query_filter(query: JobQuery, *, paged: bool = True) -> dict[str, Any]:
    """Return MongoDB's filter for a query; with ``paged``, only jobs after the cursor match."""
    found: dict[str, Any] = {
        "status": {"$in": sorted(NOT_DELETED if query.statuses is None else query.statuses)}
    }
    for name in ("group", "owner"):
        if (value := getattr(query, name)) is not None:
            found[name] = value
    if terms := query_terms(query):
        found["terms"] = {"$all": list(terms)}
    if query.updated_before is not None:
        found["updated_at"] = {"$lt": timestamp(query.updated_before)}
    if query.written_after is not None:
        found["written_at"] = {"$gt": timestamp(query.written_after)}
    if sort_range := _sort_range(query, paged):
        found["sort_at"] = sort_range
    if paged and query.cursor is not None:
        sort_at, job_id = parse_cursor(query.cursor)
        found["$or"] = [
            {"sort_at": {"$lt": sort_at}},
            {"sort_at": sort_at, "_id": {"$lt": job_id}},
        ]
    return found


def _sort_range(query: JobQuery, paged: bool) -> dict[str, str | None]:
    """Return the bounds of ``sort_at``. ``$lte`` repeats the cursor's bound for the index."""
    bounds: dict[str, str | None] = {}
    if query.submitted_from is not None:
        bounds["$gte"] = timestamp(query.submitted_from)
    if query.submitted_before is not None:
        bounds["$lt"] = timestamp(query.submitted_before)
    if paged and query.cursor is not None:
        bounds["$lte"] = parse_cursor(query.cursor)[0]
    return bounds


def _vector_fields(doc: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _at(doc, "stages", stage, "result", field)
        for name, (stage, field) in VECTOR_FIELDS.items()
    }


def _at(found: Any, *path: str) -> Any:
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found
