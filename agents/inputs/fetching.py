"""Fetches untrusted URLs, and records which content a source (URL or upload) had.

`agents.inputs.connector` limits the addresses that a URL can reach.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import httpcore
import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from agents.inputs.connector import (
    AddressNotAllowed,
    Deadline,
    Network,
    PinnedConnector,
    Resolve,
    system_resolver,
)
from agents.stages.errors import Rejected
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactNotFound
from streams.events.models import Sha256, Source

_HOST = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]+(%25[a-z0-9]+)?", re.IGNORECASE)
_AGENT = "lookstream/1"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_NOT_NOW = frozenset({408, 425, 429})
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 5.0


@dataclass(frozen=True)
class Fetched:
    """A URL's response. ``data`` is None when the server answers "not modified"."""

    data: bytes | None
    etag: str | None = None
    last_modified: str | None = None


class _TryAgain(Exception):
    """A failure that a second try may avoid: no connection, broken TLS, a busy server.

    ``pause_s`` is the delay before the next try. ``refused`` is the error when no try is left.
    """

    def __init__(self, problem: str, pause_s: float = 0.0, refused: Rejected | None = None) -> None:
        super().__init__(problem)
        self.pause_s = pause_s
        self.refused = refused


class Fetcher:
    """Fetches public http and https URLs, and those of ``allowed_networks``.

    Blocking and thread-safe. ``timeout_s`` limits the whole fetch: look-ups, redirects, the second
    try and the body. No proxies, cookies or credentials. Without ``ssl_context`` the certificate
    authorities of certifi are trusted.

    Raises `Rejected`: ``url-invalid``, ``url-not-allowed``, ``url-not-found``, ``url-refused``,
    ``url-too-large``, ``url-too-many-redirects``, ``url-timeout``, ``url-unreachable``.
    """

    def __init__(
        self,
        *,
        allowed_networks: Sequence[Network] = (),
        max_bytes: int = 50_000_000,
        timeout_s: float = 20.0,
        max_redirects: int = 5,
        tries: int = 2,
        resolve: Resolve = system_resolver,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = tuple(allowed_networks)
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._max_redirects = max_redirects
        self._tries = tries
        self._resolve = resolve
        self._ssl = ssl_context or httpx.create_ssl_context(trust_env=False)

    def fetch(
        self, url: str, *, etag: str | None = None, last_modified: str | None = None
    ) -> Fetched:
        """Return the content of ``url``; with ``etag`` or ``last_modified``, only if it changed."""
        headers = {"User-Agent": _AGENT, "Accept": "image/*", "Accept-Encoding": "identity"}
        if etag:
            headers["If-None-Match"] = etag
        if last_modified:
            headers["If-Modified-Since"] = last_modified
        start, deadline = _parsed(url), Deadline(self._timeout_s)
        refused = Rejected("url-unreachable", "The URL cannot be reached.")
        for left in reversed(range(self._tries)):
            try:
                return self._follow(start, headers, deadline)
            except _TryAgain as error:
                refused = error.refused or Rejected(refused.code, refused.message, str(error))
                if left:
                    with suppress(httpcore.TimeoutException):  # the next try reports the time-out
                        time.sleep(min(error.pause_s, deadline.left()))
            except AddressNotAllowed:
                raise Rejected("url-not-allowed", "The URL's address is not allowed.") from None
            except httpcore.TimeoutException:
                raise Rejected(
                    "url-timeout", f"The URL did not answer within {self._timeout_s:g} s."
                ) from None
        raise refused

    def _follow(self, url: httpx.URL, headers: dict[str, str], deadline: Deadline) -> Fetched:
        for _ in range(self._max_redirects + 1):
            found = self._request(url, headers, deadline)
            if isinstance(found, Fetched):
                return found
            url = found
        raise Rejected(
            "url-too-many-redirects", f"The URL redirects more than {self._max_redirects} times."
        )

    def _request(
        self, url: httpx.URL, headers: dict[str, str], deadline: Deadline
    ) -> Fetched | httpx.URL:
        """Send one request; return the content or the redirect's target."""
        backend = PinnedConnector(self._resolve, self._allowed, deadline)
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        sent = {"Host": url.netloc.decode("ascii"), **headers}
        try:
            with (
                httpcore.ConnectionPool(self._ssl, network_backend=backend) as pool,
                pool.stream("GET", target, headers=list(sent.items())) as response,
            ):
                return self._answer(url, response)
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError) as error:
            raise _TryAgain(f"{type(error).__name__}: {error}"[:300]) from error

    def _answer(self, url: httpx.URL, response: httpcore.Response) -> Fetched | httpx.URL:
        headers = httpx.Headers(response.headers)
        status = response.status
        if status in _REDIRECTS and "location" in headers:
            return _parsed(headers["location"], url)
        if status == 304:
            return Fetched(None, headers.get("etag"), headers.get("last-modified"))
        if status in _GONE:
            raise Rejected("url-not-found", f"The URL does not exist (HTTP {status}).")
        if status >= 500:
            raise _TryAgain(f"HTTP {status}", _pause_s(headers))
        if status != 200:
            refused = Rejected("url-refused", f"The server refused the URL (HTTP {status}).")
            if status in _NOT_NOW:
                raise _TryAgain(f"HTTP {status}", _pause_s(headers), refused)
            raise refused
        data = self._body(response, headers)
        return Fetched(data, headers.get("etag"), headers.get("last-modified"))

    def _body(self, response: httpcore.Response, headers: httpx.Headers) -> bytes:
        length = headers.get("content-length", "")
        too_large = length.isdecimal() and int(length[:20]) > self._max_bytes
        data = bytearray()
        if not too_large:
            for chunk in response.iter_stream():
                data += chunk
                if too_large := len(data) > self._max_bytes:
                    break
        if too_large:
            raise Rejected("url-too-large", f"The URL has more than {self._max_bytes:,} bytes.")
        return bytes(data)


def _pause_s(headers: httpx.Headers) -> float:
    """Return the server's Retry-After, limited to the time that a thread may wait."""
    asked = headers.get("retry-after", "")
    return min(float(asked[:6]) if asked.isdecimal() else _PAUSE_S, _LONGEST_PAUSE_S)


def _parsed(text: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        url = base.join(text) if base is not None else httpx.URL(text)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise Rejected("url-invalid", "The URL is not valid.", str(error)[:300]) from error
    if url.scheme not in ("http", "https"):
        raise Rejected("url-not-allowed", "Only http and https URLs are fetched.")
    if not _HOST.fullmatch(url.raw_host.decode("ascii")) or not 0 < (url.port or 80) < 65_536:
        raise Rejected("url-invalid", "The URL has no valid host or port.")
    if url.userinfo:
        raise Rejected("url-not-allowed", "A URL with a user name or password is not fetched.")
    return url.copy_with(fragment=None)


class SourceRecord(BaseModel):
    """The content that a source had at its last use, and the URL's validators (RFC 9110)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: Sha256
    etag: str | None = None
    last_modified: str | None = None


def load_source(source: Source, artifacts: ArtifactStore) -> SourceRecord | None:
    """Return the record of ``source``, or None."""
    try:
        return SourceRecord.model_validate_json(artifacts.get(_source_key(source)))
    except (ArtifactNotFound, ValidationError):
        return None


def save_source(source: Source, record: SourceRecord, artifacts: ArtifactStore) -> None:
    """Store the record of ``source``."""
    data = record.model_dump_json().encode()
    artifacts.put(_source_key(source), data, content_type="application/json")


def _source_key(source: Source) -> str:
    return keys.source_record(source.url or source.object or "")
