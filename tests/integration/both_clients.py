"""One suite for both clients: a synchronous test can call the methods of `AsyncClient`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lookstream import AsyncClient, Client, RetryPolicy

KINDS = ("threads", "loop")


class Called:
    """An `AsyncClient` whose methods return the awaited results."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*given: Any, **named: Any) -> Any:
            made = method(*given, **named)
            return self._each(made) if inspect.isasyncgen(made) else self._runner.run(made)

        return call

    def _each(self, values: AsyncIterator[Any]) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(values, None)

        while (value := self._runner.run(following())) is not None:
            yield value


@contextmanager
def either_client(kind: str, url: str, patience: RetryPolicy | None = None) -> Iterator[Client]:
    """Yield a `Client` for ``threads``, or a called `AsyncClient` for ``loop``."""
    if kind == "threads":
        with Client(url, patience=patience) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        inner = AsyncClient(url, patience=patience)
        yield Called(inner, runner)  # type: ignore[misc]
        runner.run(inner.close())
