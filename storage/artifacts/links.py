"""Signed links: with a signed link, anyone can read or write one artifact until the link expires.

The gateway serves the links of `LinkSigner`. `storage.artifacts.s3.S3Presigner` signs links to S3.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import time
from typing import Protocol
from urllib.parse import quote, urlencode

from storage.errors import InvalidLink, LinkExpired

MAX_EXPIRY_S = 604_800
METHODS = frozenset({"GET", "PUT"})


def content_disposition(filename: str) -> str:
    """Return the header for a file that browsers show and save as ``filename`` (RFC 6266)."""
    plain = filename.encode("ascii", "replace").decode().replace("?", "_")
    plain = re.sub(r'["\\%]', "_", plain)
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


class Signer(Protocol):
    """Makes signed links."""

    def sign(
        self,
        key: str,
        *,
        expires_s: int,
        method: str = "GET",
        size: int | None = None,
        filename: str = "",
    ) -> str: ...


class LinkSigner:
    """Signs and verifies ``<base>/v1/artifacts/<key>?expires=…&method=…&signature=…``.

    All processes that sign or serve links share ``secret``, at least 16 bytes. ``base`` is the
    gateway's public URL; with an empty ``base``, links are relative.
    """

    def __init__(self, secret: bytes, base: str) -> None:
        if len(secret) < 16:
            raise ValueError("the secret for links must have at least 16 bytes")
        self._secret = secret
        self._base = base.rstrip("/")

    def sign(
        self,
        key: str,
        *,
        expires_s: int,
        method: str = "GET",
        size: int | None = None,
        filename: str = "",
        now: float | None = None,
    ) -> str:
        """Return a link valid for at least ``expires_s`` seconds (1 to 604,800) from ``now``.

        The expiry is rounded up by at most an eighth of ``expires_s``, so that repeated links to an
        object are equal and cacheable. ``method`` is GET or PUT. Browsers save the object as
        ``filename``. ``size`` is not part of the link: the gateway limits every upload. Raises
        ValueError for another time or method.
        """
        if not 1 <= expires_s <= MAX_EXPIRY_S:
            raise ValueError(f"a link is valid for 1 to {MAX_EXPIRY_S} seconds, not {expires_s}")
        if method not in METHODS:
            raise ValueError(f"a link is for GET or PUT, not {method}")
        step = max(1, expires_s // 8)
        expires = math.ceil((_now(now) + expires_s) / step) * step
        query = {
            "expires": expires,
            "method": method,
            **({"filename": filename} if filename else {}),
            "signature": self._signature(key, expires, method, filename),
        }
        return f"{self._base}/v1/artifacts/{quote(key)}?{urlencode(query)}"

    def verify(
        self,
        key: str,
        *,
        expires: int,
        method: str,
        signature: str,
        filename: str = "",
        now: float | None = None,
    ) -> None:
        """Return if the link is valid; raise `InvalidLink` or `LinkExpired`."""
        expected = self._signature(key, expires, method, filename)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise InvalidLink("this link was not signed for this object")
        if _now(now) >= expires:
            raise LinkExpired("this link has expired")

    def _signature(self, key: str, expires: int, method: str, filename: str) -> str:
        # A link without a name has the same signature as in earlier versions.
        named = f"named\n{filename}\n" if filename else ""
        message = f"{named}{method}\n{expires}\n{key}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def _now(now: float | None) -> float:
    return time.time() if now is None else now
