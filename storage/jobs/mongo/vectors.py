"""What photos are compared by, out of MongoDB: in the order of its writing, by that index."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from storage.jobs.documents import timestamp
from storage.jobs.store import PLACES, JobVector, job_vector

ORDER = [("written_at", 1), ("_id", 1)]
PICKED = {
    **{"written_at": 1, "group": 1},
    **{f"stages.{stage}.result.{name}": 1 for stage, name in PLACES.values()},
}


async def vectors(
    jobs: AsyncCollection[dict[str, Any]], after: tuple[datetime, str], limit: int
) -> list[JobVector]:
    """Return what ``limit`` jobs are compared by, those that come first after a place."""
    at, job_id = timestamp(after[0]), after[1]
    later = [{"written_at": {"$gt": at}}, {"written_at": at, "_id": {"$gt": job_id}}]
    found = jobs.find({"written_at": {"$gte": at}, "$or": later}, PICKED).sort(ORDER).limit(limit)
    return [
        job_vector(doc["_id"], doc["written_at"], doc.get("group"), _picked(doc))
        for doc in await found.to_list()
    ]


def _picked(doc: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _at(doc, "stages", stage, "result", field) for name, (stage, field) in PLACES.items()
    }


def _at(found: Any, *place: str) -> Any:
    for step in place:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found
