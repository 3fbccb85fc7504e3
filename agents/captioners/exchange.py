"""HTTP with a model's server, under limits that hold whatever the server does."""

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

# What an HTTP status of a model's server means for the job: pure.
NAME = "captions"
"""The dependency, as readiness and logs name it."""

OPERATORS = {
    401: "it does not accept the key",
    402: "the account has to be paid for",
    403: "it does not allow this key the model",
    404: "it has no such model, or the address is wrong",
    407: "a proxy asks for a password",
}
PASSING = frozenset({408, 409, 425, 429})
BROKEN = frozenset({500, 502, 504})


class Stumbled(Unavailable):
    """The server did not come to an end with a request: it is ill, or the photo is."""


def error_of(status: int, model: str, retry_after_s: float | None = None) -> StageError:
    """Return the error of an answer that is not 200.

    What passes by itself, and what the operator has to mend, holds the jobs; what the server says
    of this request alone fails its job.
    """
    if status in OPERATORS:
        return Unavailable(NAME, f"{model}: HTTP {status}, {OPERATORS[status]}")
    if status in PASSING or status >= 500:
        kind = Stumbled if status in BROKEN else Unavailable
        return kind(NAME, f"{model}: HTTP {status}", retry_after_s=retry_after_s)
    if status < 400:
        return Unavailable(NAME, f"{model}: HTTP {status}, the address leads elsewhere")
    return BadAnswer("caption-request-refused", f"The model refused the request (HTTP {status}).")


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for, a number or a date (RFC 9110, 10.2.3).

    None where there is none, or none that can be read.
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
    """More came than any caption needs, or it came packed."""


class Exchange:
    """One client for a server, used from any number of threads.

    Requests run on an event loop in a thread of its own: there, one can be ended wherever it is, in
    a look-up, in headers that drip, in a body. ``timeout_s`` is for all of a request, ``max_bytes``
    for the body of its answer. Proxies of the environment are used, redirects are not followed.
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
        """Return what ``ask``, which uses ``client``, returns.

        Raises `Stumbled` where no whole answer came in time, `BadAnswer` for one without end,
        and whatever ``ask`` itself raises.
        """
        try:
            return asyncio.run_coroutine_threadsafe(self._in_time(ask), self._loop).result()
        except TimeoutError:
            raise self._away(f"no answer within {self._timeout_s:g} s") from None
        except httpx.RequestError as error:  # its text may hold the address, or a header
            raise self._away(type(error).__name__) from None
        except _TooLong:
            raise nonsense(f"more than {self._max_bytes:,} bytes, or packed") from None

    def close(self) -> None:
        """End all of it."""
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
    """A body that is given up when it is too long."""

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
