"""How jobs are looked for in MongoDB: selections, and an index for each.

A list of statuses is no obstacle to the order of listings: MongoDB reads the index once a status
and merges what comes ("explode for sort"), which is why ``deleted`` is left out by naming all
others. Several terms go by the index of one of them; the others are compared on its documents.
FerretDB 1.24 knows no index but that of ``_id`` and looks through the whole collection.
"""

from __future__ import annotations

from typing import Any

from storage.jobs.documents import position, timestamp
from storage.jobs.store import JobQuery
from storage.jobs.terms import wanted

ORDER = [("sort_at", -1), ("_id", -1)]
INDEXES = [
    [("status", 1), *ORDER],
    [("group", 1), ("status", 1), *ORDER],
    [("owner", 1), ("status", 1), *ORDER],
    [("terms", 1), *ORDER],
    [("status", 1), ("updated_at", 1)],
    [("written_at", 1), ("_id", 1)],
    [("group", 1), ("written_at", 1)],
]
LIVING = ["completed", "failed", "pending", "processing"]


def selection(query: JobQuery, *, paged: bool = True) -> dict[str, Any]:
    """Return what MongoDB's ``find`` takes; with ``paged``, only what comes after the cursor."""
    found: dict[str, Any] = {
        "status": {"$in": LIVING if query.statuses is None else sorted(query.statuses)}
    }
    for name in ("group", "owner"):
        if (value := getattr(query, name)) is not None:
            found[name] = value
    if terms := wanted(query):
        found["terms"] = {"$all": list(terms)}
    if query.updated_before is not None:
        found["updated_at"] = {"$lt": timestamp(query.updated_before)}
    if query.written_after is not None:
        found["written_at"] = {"$gt": timestamp(query.written_after)}
    if places := _places(query, paged):
        found["sort_at"] = places
    if paged and query.cursor is not None:
        sort_at, job_id = position(query.cursor)
        found["$or"] = [
            {"sort_at": {"$lt": sort_at}},
            {"sort_at": sort_at, "_id": {"$lt": job_id}},
        ]
    return found


def _places(query: JobQuery, paged: bool) -> dict[str, str | None]:
    """Return the range of the listing; the cursor's is the narrower one where both are given."""
    places: dict[str, str | None] = {}
    if query.submitted_from is not None:
        places["$gte"] = timestamp(query.submitted_from)
    if query.submitted_before is not None:
        places["$lt"] = timestamp(query.submitted_before)
    if paged and query.cursor is not None:
        places["$lte"] = position(query.cursor)[0]
    return places
