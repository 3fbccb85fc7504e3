"""Perform flows on an event loop; files and hashes in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from lookstream.client.connecting import CHUNK, Address, Route, translated
from lookstream.client.exchange import Answer, Effect, Flow, Pause, Request, Work

T = TypeVar("T")


class AsyncTransport:
    """Connections to a gateway and its store, for one event loop."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._clients: dict[Route, httpx.AsyncClient] = {}

    async def run(self, flow: Flow[T]) -> T:
        """Perform a flow to its end."""
        try:
            effect = next(flow)
            while True:
                try:
                    done = await self._perform(effect)
                except Exception as error:  # noqa: BLE001 - the flow's to judge
                    effect = flow.throw(error)
                else:
                    effect = flow.send(done)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[tuple[Answer, AsyncIterator[str]]]:
        """Yield an answer's beginning, and the lines of its body as they come."""
        url = self._address.url(request)
        options = self._address.options(request, None)
        with translated(url):
            async with self._client(url).stream(request.method, url, **options) as response:
                body = b"" if response.is_success else await response.aread()
                answer = Answer(url, response.status_code, response.headers, body)
                yield answer, response.aiter_lines()

    async def pause(self, pause: Pause) -> None:
        """Wait."""
        await asyncio.sleep(pause.seconds)

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Request():
                return await self._send(effect)
            case Pause():
                return await self.pause(effect)
            case Work():
                return await asyncio.to_thread(effect.do)

    async def _send(self, request: Request) -> Answer:
        url, given = self._address.url(request), request.content
        content = _chunks(given) if isinstance(given, Path) else given
        options = self._address.options(request, content)
        with translated(url):
            async with self._client(url).stream(request.method, url, **options) as response:
                if request.into is not None and response.is_success:
                    await _save(response, request.into)
                    body = b""
                else:
                    body = await response.aread()
        return Answer(url, response.status_code, response.headers, body)

    def _client(self, url: str) -> httpx.AsyncClient:
        route = Route.to(url)
        if route not in self._clients:
            self._clients[route] = httpx.AsyncClient(**route.options())
        return self._clients[route]


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
    finally:
        file.close()


async def _save(response: httpx.Response, target: Path) -> None:
    file = await asyncio.to_thread(target.open, "wb")
    try:
        async for chunk in response.aiter_bytes(CHUNK):
            await asyncio.to_thread(file.write, chunk)
    finally:
        file.close()
