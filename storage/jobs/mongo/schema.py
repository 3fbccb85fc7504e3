"""Requests that came with an idempotency key, in MongoDB: of two at once, one is kept."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from storage.errors import StoreUnavailable
from storage.jobs.documents import timestamp
from storage.jobs.store import IdempotencyRecord

# Documents within what every database of MongoDB's protocol takes.
SPECIAL = re.compile(r"[%.$\x00]")
LIST = "%"  # no escaped key is a percent sign alone


def escaped(value: Any) -> Any:
    """Return ``value`` with ``%``, ``.``, ``$`` and NUL percent-encoded in every key of it, and
    each list of a list wrapped. Raises ValueError for a number that is not finite.
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


ATTEMPTS = 20


async def keep(
    requests: AsyncCollection[dict[str, Any]], request: IdempotencyRecord, expired: datetime
) -> IdempotencyRecord:
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
                return IdempotencyRecord(request.key, kept["fingerprint"], at)
        else:
            return request
    raise StoreUnavailable("a kept request comes and goes")
