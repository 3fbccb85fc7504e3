"""Perform flows on the caller's thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

import httpx

from lookstream.client.connecting import CHUNK, Address, Route, translated
from lookstream.client.exchange import Answer, Effect, Flow, Pause, Request, Work
from lookstream.errors import LookstreamError

T = TypeVar("T")


class Stopped(LookstreamError):
    """Somebody else has given up what this was part of."""

    code = "stopped"


class Transport:
    """Connections to a gateway and its store. Thread-safe."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._clients: dict[Route, httpx.Client] = {}
        self._lock = Lock()

    def run(self, flow: Flow[T], stopping: Event | None = None) -> T:
        """Perform a flow to its end. Raises `Stopped` between steps once ``stopping`` is set."""
        try:
            effect = next(flow)
            while True:
                try:
                    done = self._perform(effect, stopping)
                except Exception as error:  # noqa: BLE001 - the flow's to judge
                    effect = flow.throw(error)
                else:
                    effect = flow.send(done)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()

    @contextmanager
    def stream(self, request: Request) -> Iterator[tuple[Answer, Iterator[str]]]:
        """Yield an answer's beginning, and the lines of its body as they come."""
        url = self._address.url(request)
        with (
            translated(url),
            self._client(url).stream(
                request.method, url, **self._address.options(request, None)
            ) as response,
        ):
            body = b"" if response.is_success else response.read()
            answer = Answer(url, response.status_code, response.headers, body)
            yield answer, response.iter_lines()

    def pause(self, pause: Pause, stopping: Event | None = None) -> None:
        """Wait, or raise `Stopped` once ``stopping`` is set."""
        if (stopping or Event()).wait(pause.seconds):
            raise Stopped("stopped")

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _perform(self, effect: Effect, stopping: Event | None) -> Any:
        if stopping is not None and stopping.is_set():
            raise Stopped("stopped")
        match effect:
            case Request():
                return self._send(effect)
            case Pause():
                return self.pause(effect, stopping)
            case Work():
                return effect.do()

    def _send(self, request: Request) -> Answer:
        url, given = self._address.url(request), request.content
        with given.open("rb") if isinstance(given, Path) else nullcontext(given) as content:
            options = self._address.options(request, content)
            with (
                translated(url),
                self._client(url).stream(request.method, url, **options) as response,
            ):
                if request.into is not None and response.is_success:
                    with request.into.open("wb") as target:
                        target.writelines(response.iter_bytes(CHUNK))
                    body = b""
                else:
                    body = response.read()
        return Answer(url, response.status_code, response.headers, body)

    def _client(self, url: str) -> httpx.Client:
        route = Route.to(url)
        with self._lock:
            if route not in self._clients:
                self._clients[route] = httpx.Client(**route.options())
            return self._clients[route]
