"""HTTP with a model's server, under limits that hold whatever the server does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import httpx

from agents.captioners.answers import nonsense
from agents.captioners.statuses import NAME, Stumbled

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
