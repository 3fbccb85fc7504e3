"""Fetches untrusted URLs, and records which content a source (URL or upload) had.

`agents.inputs.connector` limits the addresses that a URL can reach.
"""

from __future__ import annotations

import re
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import BinaryIO, cast

import httpcore
import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from agents.inputs.connector import (
    AddressNotAllowed,
    Deadline,
    HostNotResolved,
    Network,
    PinnedConnector,
    Resolve,
    system_resolver,
)
from agents.inputs.decompression import decompressed
from agents.stages.errors import Rejected
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactNotFound
from streams.events.models import Sha256, Source

_HOST = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]+(%25[a-z0-9]+)?", re.IGNORECASE)
_AGENT = "lookstream/1"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_REFUSING_NOW = frozenset({408, 425, 429})
_BUSY = frozenset({502, 503, 504})
_IN_MEMORY = 256 * 1024
"""Bytes of a response that stay in memory; a larger response goes to a temporary file."""
_VALIDATOR_CHARACTERS = 1024


@dataclass(frozen=True)
class Fetched:
    """A URL's response. ``file`` has the decompressed content and is at its start. It is None if
    the server answered "not modified" (HTTP 304)."""

    file: BinaryIO | None
    etag: str | None = None
    last_modified: str | None = None

    @property
    def data(self) -> bytes | None:
        """Return the whole content, and close the file."""
        if self.file is None:
            return None
        with self.file as file:
            return file.read()


class TryLater(Exception):
    """The server is busy, or its name cannot be resolved now: try again after seconds or minutes.

    ``retry_after_s`` is the delay in seconds that the server asks for; 0 if it does not ask.
    ``refused`` is the error to report if there is no time for another try.
    """

    def __init__(self, refused: Rejected, retry_after_s: float = 0.0) -> None:
        super().__init__(refused.message)
        self.refused = refused
        self.retry_after_s = retry_after_s


class _Failed(Exception):
    """A failure that an immediate second try may avoid: no connection, broken TLS, HTTP 500."""


class Fetcher:
    """Fetches public http and https URLs, and those of ``allowed_networks``.

    Blocking and thread-safe. ``timeout_s`` limits the whole fetch: look-ups, redirects, the second
    try and the body. ``max_bytes`` limits the content, before and after decompression. No proxies,
    cookies or credentials. Without ``ssl_context`` the certificate authorities of certifi are
    trusted.

    Raises `TryLater`, and `Rejected`: ``url-invalid``, ``url-not-allowed``, ``url-not-found``,
    ``url-refused``, ``url-too-large``, ``url-too-many-redirects``, ``url-timeout``,
    ``url-unreachable``.
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
        reason = ""
        for _ in range(self._tries):
            try:
                return self._follow(start, headers, deadline)
            except _Failed as error:
                reason = str(error)
            except HostNotResolved as error:
                if error.temporary:
                    message = "The URL's host name cannot be resolved now."
                    refused = Rejected("url-unreachable", message, str(error)[:300])
                    raise TryLater(refused) from None
                raise Rejected(
                    "url-unreachable", "The URL's host name is unknown.", str(error)[:300]
                ) from None
            except AddressNotAllowed:
                raise Rejected("url-not-allowed", "The URL's address is not allowed.") from None
            except httpcore.TimeoutException:
                raise Rejected(
                    "url-timeout", f"The URL did not answer within {self._timeout_s:g} s."
                ) from None
        status = f" ({reason})" if reason.startswith("HTTP ") else ""
        raise Rejected("url-unreachable", f"The URL cannot be reached{status}.", reason)

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
        except HostNotResolved:
            raise
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError) as error:
            raise _Failed(f"{type(error).__name__}: {error}"[:300]) from error

    def _answer(self, url: httpx.URL, response: httpcore.Response) -> Fetched | httpx.URL:
        headers = httpx.Headers(response.headers)
        status = response.status
        if status in _REDIRECTS and "location" in headers:
            return _parsed(headers["location"], url)
        if status == 304:
            return Fetched(None, headers.get("etag"), headers.get("last-modified"))
        if status in _GONE:
            raise Rejected("url-not-found", f"The URL does not exist (HTTP {status}).")
        if status in _BUSY:
            refused = Rejected("url-unreachable", f"The server is busy (HTTP {status}).")
            raise TryLater(refused, _retry_after_s(headers))
        if status >= 500:
            raise _Failed(f"HTTP {status}")
        if status != 200:
            refused = Rejected("url-refused", f"The server refused the URL (HTTP {status}).")
            if status in _REFUSING_NOW:
                raise TryLater(refused, _retry_after_s(headers))
            raise refused
        file = self._body(response, headers)
        return Fetched(file, _validator(headers, "etag"), _validator(headers, "last-modified"))

    def _body(self, response: httpcore.Response, headers: httpx.Headers) -> BinaryIO:
        """Return the decompressed content in a file. Some servers compress the content although the
        request forbids it."""
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._max_bytes:
            raise self._too_large()
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the caller reads it
        size = 0
        try:
            for chunk in decompressed(response.iter_stream(), headers.get("content-encoding", "")):
                size += len(chunk)
                if size > self._max_bytes:
                    raise self._too_large()
                file.write(chunk)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return cast(BinaryIO, file)

    def _too_large(self) -> Rejected:
        return Rejected("url-too-large", f"The URL has more than {self._max_bytes:,} bytes.")


def _validator(headers: httpx.Headers, name: str) -> str | None:
    text = headers.get(name)
    return text if text is not None and len(text) <= _VALIDATOR_CHARACTERS else None


def _retry_after_s(headers: httpx.Headers) -> float:
    """Return the seconds of Retry-After, a number or a date (RFC 9110); 0 without a valid one."""
    asked = headers.get("retry-after", "").strip()
    if asked.isdecimal():
        return float(asked[:6])
    try:
        date = parsedate_to_datetime(asked)
        return max(0.0, (date.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _parsed(text: str, base: httpx.URL | None = None) -> httpx.URL:
    text = text.strip(" \t\r\n").replace(" ", "%20")  # as browsers do
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
