"""Links that S3 itself signs: whoever holds one reads or writes one object, without an account."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from minio import Minio

from storage.signing import LONGEST_S, METHODS


class Signs(Protocol):
    """What makes links: `Presigner`, or the gateway's own `LinkSigner`."""

    def sign(self, key: str, *, expires_s: int, method: str = "GET") -> str: ...


class Presigner:
    """Signs for the server at the client's address, without asking it."""

    def __init__(self, client: Minio, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def sign(self, key: str, *, expires_s: int, method: str = "GET") -> str:
        """Return a URL on the server, dated back a little so that it stays the same."""
        if not 1 <= expires_s <= LONGEST_S or method not in METHODS:
            raise ValueError(f"a link is for GET or PUT and 1 to {LONGEST_S} seconds")
        step = max(0, min(expires_s // 8, LONGEST_S - expires_s))
        now = int(time.time())
        date = datetime.fromtimestamp(now - now % step if step else now, UTC)
        life = timedelta(seconds=expires_s + step)
        return self._client.get_presigned_url(
            method, self._bucket, key, expires=life, request_date=date
        )
