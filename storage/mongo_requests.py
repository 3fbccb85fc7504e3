"""Requests that came with an idempotency key, in MongoDB: of two at once, one is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from storage.documents import timestamp
from storage.errors import StoreUnavailable
from storage.jobs import KeptRequest

ATTEMPTS = 20


async def keep(
    requests: AsyncCollection[dict[str, Any]], request: KeptRequest, expired: datetime
) -> KeptRequest:
    """Keep ``request`` unless a younger one of its key is there; return the one that is kept.

    The key is the document's ``_id``, so that the database itself refuses the second of two.
    """
    await requests.delete_many({"at": {"$lt": timestamp(expired)}})
    mine = {"_id": request.key, "fingerprint": request.fingerprint, "at": timestamp(request.at)}
    for _ in range(ATTEMPTS):
        try:
            await requests.insert_one(mine)
        except DuplicateKeyError:
            kept = await requests.find_one({"_id": request.key})
            if kept is not None:  # and not gone by someone else's clearing up, just now
                at = datetime.fromisoformat(kept["at"])
                return KeptRequest(request.key, kept["fingerprint"], at)
        else:
            return request
    raise StoreUnavailable("a kept request comes and goes")
