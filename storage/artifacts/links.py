"""Links that S3 itself signs: whoever holds one reads or writes one object, without an account."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import quote, urlencode

from minio import Minio

from storage.errors import InvalidLink, LinkExpired

# Links that let their holder read or write one artifact for a while, without an account.
LONGEST_S = 604_800
METHODS = frozenset({"GET", "PUT"})


class LinkSigner:
    """Signs and verifies ``<base>/v1/artifacts/<key>?expires=…&method=…&signature=…``.

    ``secret`` is shared by every process that signs or serves; ``base`` is the gateway's address
    as clients see it, without a trailing slash (empty for links relative to it).
    """

    def __init__(self, secret: bytes, base: str) -> None:
        if len(secret) < 16:
            raise ValueError("the secret that signs links must have 16 bytes or more")
        self._secret = secret
        self._base = base.rstrip("/")

    def sign(
        self, key: str, *, expires_s: int, method: str = "GET", now: float | None = None
    ) -> str:
        """Return a link valid for at least ``expires_s`` seconds (1 to 604,800) from ``now``.

        The expiry is rounded up by at most an eighth of that time, so that the link to an object
        stays the same for a while and caches can hold on to it.
        """
        if not 1 <= expires_s <= LONGEST_S:
            raise ValueError(f"a link may live 1 to {LONGEST_S} seconds, not {expires_s}")
        if method not in METHODS:
            raise ValueError(f"a link may be for GET or PUT, not {method}")
        step = max(1, expires_s // 8)
        expires = math.ceil((_now(now) + expires_s) / step) * step
        query = {
            "expires": expires,
            "method": method,
            "signature": self._signature(key, expires, method),
        }
        return f"{self._base}/v1/artifacts/{quote(key)}?{urlencode(query)}"

    def verify(
        self, key: str, *, expires: int, method: str, signature: str, now: float | None = None
    ) -> None:
        """Return when the link is ours and still good; raise `InvalidLink` or `LinkExpired`."""
        expected = self._signature(key, expires, method)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise InvalidLink("this link was not signed for this object")
        if _now(now) >= expires:
            raise LinkExpired("this link has expired")

    def _signature(self, key: str, expires: int, method: str) -> str:
        message = f"{method}\n{expires}\n{key}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def _now(now: float | None) -> float:
    return time.time() if now is None else now


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
