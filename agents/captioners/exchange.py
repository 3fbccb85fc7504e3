"""Send HTTP requests to a model's server, with limits on time and size, and translate HTTP statuses
into the errors of stages."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from agents.captioners.answers import nonsense
from agents.stages.errors import BadAnswer, StageError, Unavailable

NAME = "captions"
"""The dependency's name in readiness and logs."""

OPERATORS = {
    401: "the key is not accepted",
    402: "the account needs payment",
    403: "this key may not use the model",
    404: "the model does not exist, or the address is wrong",
    407: "a proxy requires a password",
}
PASSING = frozenset({408, 409, 425, 429})
BROKEN = frozenset({500, 502, 504})


class Stumbled(Unavailable):
    """Time-out or 5xx: the server is down, or this photo triggers the error."""


def error_of(status: int, model: str, retry_after_s: float | None = None) -> StageError:
    """Return the error of an answer that is not 200.

    Temporary errors, and errors that the operator must fix, make the jobs wait. An error about this
    request alone fails its job.
    """
    if status in OPERATORS:
        return Unavailable(NAME, f"{model}: HTTP {status}, {OPERATORS[status]}")
    if status in PASSING or status >= 500:
        kind = Stumbled if status in BROKEN else Unavailable
        return kind(NAME, f"{model}: HTTP {status}", retry_after_s=retry_after_s)
    if status < 400:
        return Unavailable(NAME, f"{model}: HTTP {status}, the address redirects")
    return BadAnswer("caption-request-refused", f"The model refused the request (HTTP {status}).")


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, a number or a date (RFC 9110, 10.2.3).

    Return None without a header, and for one that cannot be parsed.
    """
    text = (header or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{0,9})?", text, re.ASCII):
        return float(text)
    try:
        left = (parsedate_to_datetime(text) - (now or datetime.now(UTC))).total_seconds()
    except (TypeError, ValueError, OverflowError):  # no date, or one without a zone
        return None
    return max(0.0, left)


T = TypeVar("T")

MAX_BYTES = 1_000_000
_IDENTITY = {"accept-encoding": "identity"}


class _TooLong(Exception):
    """The answer is too long, or compressed."""


class Exchange:
    """One client for a server, used from any number of threads.

    Requests run on an event loop in a separate thread, so that a request can be cancelled at any
    point: during DNS, slow headers, or the body. ``timeout_s`` limits the whole request,
    ``max_bytes`` the body of its answer. Proxies of the environment are used, redirects are not
    followed.
    """

    def __init__(self, model: str, *, timeout_s: float, max_bytes: int = MAX_BYTES) -> None:
        self._model = model
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=NAME, daemon=True)
        self._thread.start()
        self.client = httpx.AsyncClient(
            timeout=timeout_s, headers=_IDENTITY, event_hooks={"response": [self._limit]}
        )

    def run(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of ``ask``, a function that sends requests with ``client``.

        Raises `Stumbled` if the server cannot be reached or does not answer completely in time,
        `BadAnswer` if the answer is too long or compressed, and the exceptions of ``ask``.
        """
        try:
            return asyncio.run_coroutine_threadsafe(self._in_time(ask), self._loop).result()
        except TimeoutError:
            raise self._away(f"no answer within {self._timeout_s:g} s") from None
        except httpx.RequestError as error:  # its text may contain the address or a header
            raise self._away(type(error).__name__) from None
        except _TooLong:
            raise nonsense(f"more than {self._max_bytes:,} bytes, or compressed") from None

    def close(self) -> None:
        """Stop the event loop and close the client."""
        asyncio.run_coroutine_threadsafe(self.client.aclose(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _in_time(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async with asyncio.timeout(self._timeout_s):
            return await ask()

    async def _limit(self, response: httpx.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise _TooLong
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - of an async client
        response.stream = _Capped(response.stream, self._max_bytes)

    def _away(self, why: str) -> Stumbled:
        return Stumbled(NAME, f"{self._model}: {why}")


class _Capped(httpx.AsyncByteStream):
    """A body that raises `_TooLong` when it exceeds the limit."""

    def __init__(self, stream: httpx.AsyncByteStream, max_bytes: int) -> None:
        self._stream = stream
        self._left = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise _TooLong
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
