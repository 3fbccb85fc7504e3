"""Requests, answers and retries, which both clients share. Nothing here sends a request.

An operation is a generator, a `Flow`. It yields effects (`Request`, `Pause`, `Work`), receives the
result of each effect, and returns its own result. So each operation is written only once: the
synchronous transport performs the effects on threads, the asynchronous transport on an event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx

from lookstream_client.errors import (
    GatewayBusy,
    GatewayUnreachable,
    JobNotFound,
    NotAGateway,
    RequestRefused,
    encoding,
)
from lookstream_client.options import DEFAULT_GATEWAY

T = TypeVar("T")
sleep = time.sleep
async_sleep = asyncio.sleep

ANSWER_WITHIN_S = 30.0

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
CHUNK = 1 << 18

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
HOPELESS = (httpx.InvalidURL, httpx.UnsupportedProtocol)
TEMPORARY = frozenset({429, 502, 503})
"""Status codes of temporary errors. The client assumes that the gateway has not processed such a
request, and sends it again."""


@dataclass(frozen=True)
class Request:
    """One HTTP request. ``path`` is a path of the gateway or a complete URL.

    The body is ``json``, or ``content`` (a path is streamed), or a form of ``fields`` with one
    ``file``. If ``into`` is set, the body of a successful answer is written to that file.
    ``extra_wait_s`` is added to the usual time-out. A request that is not ``repeatable`` is not
    sent again after the connection broke, because the gateway may have processed it. With
    ``may_redirect``, a redirect is a successful answer; the caller decides what to do with it.
    """

    method: str
    path: str
    params: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | Path | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    file: bytes | None = None
    filename: str = ""
    into: Path | None = None
    extra_wait_s: float = 0.0
    repeatable: bool = True
    may_redirect: bool = False


@dataclass(frozen=True)
class Answer:
    """An HTTP response. ``headers`` are case-insensitive."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def good(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def target(self) -> str | None:
        """The complete URL to which this answer redirects, or None."""
        location = self.headers.get("Location", "")
        return urljoin(self.url, location) if 300 <= self.status < 400 and location else None

    def document(self) -> dict[str, Any] | None:
        """Return the JSON object in the body, or None."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class Pause:
    """Wait for ``seconds``."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Blocking work, such as reading or hashing a file. It must not block an event loop."""

    do: Callable[[], Any]


Effect: TypeAlias = Request | Pause | Work
Flow: TypeAlias = Generator[Effect, Any, T]


def in_thread(do: Callable[[], T]) -> T:
    """Do blocking work on the caller's thread."""
    return do()


async def async_in_thread(do: Callable[[], T]) -> T:
    """Do blocking work on another thread."""
    return await asyncio.to_thread(do)


@dataclass(frozen=True)
class RetryPolicy:
    """How long temporary errors are retried, and the pauses between the tries.

    A failing request is retried for ``total_s`` seconds. An address that has never answered is
    probably wrong, so it is retried for ``first_contact_s`` only. Pauses double from ``base_s`` to
    ``cap_s``, with jitter, so that clients that failed together do not retry together.
    ``Retry-After`` sets the minimum pause.
    """

    total_s: float = 30.0
    first_contact_s: float = 1.0
    base_s: float = 0.25
    cap_s: float = 8.0
    dice: Callable[[], float] = random.random

    def pause_s(self, attempt: int, retry_after_s: float | None = None) -> float:
        """Return the pause after failed attempt number ``attempt`` (from 1), in seconds."""
        longest = min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 30))
        return max(longest * (0.5 + self.dice() / 2), retry_after_s or 0.0)


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, a number or a date (RFC 9110, 10.2.3).

    Return None without a header, and for one that cannot be parsed.
    """
    text = (header or "").strip()
    if re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{0,9})?", text):
        return max(0.0, float(text))
    try:
        left = (parsedate_to_datetime(text) - (now or datetime.now(UTC))).total_seconds()
    except (TypeError, ValueError, OverflowError):  # no date, or a date without a zone
        return None
    return max(0.0, left)


@dataclass(frozen=True)
class Route:
    """The connection settings that differ between hosts."""

    trust_env: bool
    verify: bool

    @classmethod
    def to(cls, url: str) -> Route:
        """Return the settings for ``url``.

        Proxy settings of the environment do not apply to this machine's loopback addresses. Loading
        the trusted certificates takes longer than a request, and plain HTTP needs none. Redirects
        are not followed, so a plain connection stays plain.
        """
        address = urlsplit(url)
        return cls(address.hostname not in LOOPBACK, address.scheme != "http")

    def options(self) -> dict[str, Any]:
        """Return the arguments of an httpx client."""
        # The caller decides how many streams are open, so the number is not limited here.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        return {"trust_env": self.trust_env, "verify": self.verify, "limits": limits}


@dataclass(frozen=True)
class Address:
    """The gateway's URL, and the time-out of its answers in seconds."""

    base_url: str
    timeout_s: float

    @classmethod
    def of(cls, base_url: str | None, timeout_s: float) -> Address:
        """Use ``base_url``, else ``LOOKSTREAM_GATEWAY``, else the default address."""
        found = base_url or os.environ.get("LOOKSTREAM_GATEWAY") or DEFAULT_GATEWAY
        return cls(found.rstrip("/"), timeout_s)

    def url(self, request: Request) -> str:
        """Return the complete URL of a request."""
        path = request.path
        return path if "://" in path else self.base_url + path

    def options(self, request: Request, content: Any) -> dict[str, Any]:
        """Return the arguments of an httpx request; ``content`` replaces the request's content.

        Raises `InvalidValue`.
        """
        with encoding():
            options: dict[str, Any] = {
                "params": _query(request.params),
                "headers": httpx.Headers({**request.headers, **_length(request.content)}),
                "timeout": httpx.Timeout(
                    self.timeout_s, read=self.timeout_s + request.extra_wait_s
                ),
            }
            if request.json is not None:
                options["content"] = _encoded_json(request.json)
                options["headers"].setdefault("Content-Type", "application/json")
            if request.file is not None:
                fields = {name: value.encode() for name, value in request.fields.items()}
                filename = request.filename or "photo"
                options.update(data=fields, files={"files": (filename, request.file)})
        if content is not None:
            options["content"] = content
        return options


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Translate httpx's errors into errors of this package."""
    try:
        yield
    except HOPELESS as error:
        raise NotAGateway(f"{url} is not an address: {error}", sent=False) from error
    except httpx.HTTPError as error:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        reason = str(error) or type(error).__name__
        raise GatewayUnreachable(
            f"no answer from {origin}: {reason}", sent=not isinstance(error, NEVER_SENT)
        ) from error


def _encoded_json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _query(params: Sequence[tuple[str, str]]) -> httpx.QueryParams | None:
    found = httpx.QueryParams(list(params))
    str(found)  # encodes the values
    return found if params else None


def _length(content: bytes | Path | None) -> dict[str, str]:
    """Return the length of a file: a presigned upload must not be chunked."""
    return {"Content-Length": str(content.stat().st_size)} if isinstance(content, Path) else {}


@dataclass
class Gateway:
    """The retry policy for one gateway, and whether the gateway has ever answered."""

    retry_policy: RetryPolicy
    reached: bool = False

    def ask(self, request: Request) -> Flow[Answer]:
        """Return a successful answer. Raises `GatewayUnreachable`, `RequestRefused`.

        Temporary errors are retried: a failed connection, 429, 502, 503. If the connection breaks
        after the request was sent, only a repeatable request is retried.
        """
        began = monotonic()
        for attempt in count(1):
            try:
                answer: Answer = yield request
                self.reached = True
                if request.may_redirect and answer.target:
                    return answer
                if answer.status not in TEMPORARY:
                    return checked(answer)
                error: Exception = refusal(answer)
            except NotAGateway:
                raise
            except GatewayUnreachable as broken:
                if broken.sent and not request.repeatable:
                    raise
                error = broken
            pause = self.retry_policy.pause_s(attempt, getattr(error, "retry_after_s", None))
            if monotonic() - began + pause > self.longest_s:
                raise error
            yield Pause(pause)
        raise AssertionError("the loop never ends")

    def document(self, request: Request) -> Flow[dict[str, Any]]:
        """Return the JSON object of a successful answer. Raises the same errors as `ask`."""
        answer = yield from self.ask(request)
        return opened(answer)

    @property
    def longest_s(self) -> float:
        """Return for how long requests are retried, in seconds."""
        return self.retry_policy.total_s if self.reached else self.retry_policy.first_contact_s


def checked(answer: Answer) -> Answer:
    """Return a successful answer; raise the error of any other."""
    if answer.good:
        return answer
    raise refusal(answer)


def opened(answer: Answer) -> dict[str, Any]:
    """Return the JSON object in an answer. Raises `NotAGateway` if there is none."""
    document = answer.document()
    if document is None:
        raise _stranger(answer)
    return document


def refusal(answer: Answer) -> RequestRefused | NotAGateway:
    """Return the error for an unsuccessful answer."""
    document = answer.document()
    if answer.status in TEMPORARY:
        problem = document or {"code": "unavailable", "detail": f"{answer.url}: {answer.status}"}
        return GatewayBusy(
            {"status": answer.status, **problem}, retry_after_s(answer.headers.get("Retry-After"))
        )
    if document is not None:
        return refused(document)
    if "xml" in answer.headers.get("Content-Type", ""):  # S3 stores send errors as XML
        problem = {"code": "store-refused", "detail": f"the store answered {answer.status}"}
        return RequestRefused({**problem, "status": answer.status})
    return _stranger(answer)


def refused(problem: Mapping[str, Any]) -> RequestRefused:
    """Return the error for a problem document."""
    kind = JobNotFound if problem.get("code") == "job-not-found" else RequestRefused
    return kind(dict(problem))


def _stranger(answer: Answer) -> NotAGateway:
    return NotAGateway(f"{answer.url} is no gateway: it answered {answer.status}")
