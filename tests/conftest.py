"""What every test may ask for: the real servers, and waiting without sleeping blindly."""

from __future__ import annotations

import asyncio
import inspect
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytest_plugins = ["tests.servers"]

REAL = {"kafka_server", "minio_server", "ferretdb_server"}

# A shell's background job ignores Ctrl-C, and so would the processes that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what names a real server; a parametrised store marks its own parameters."""
    for item in items:
        if REAL & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real_servers)


@pytest.fixture
def eventually() -> Callable[..., Awaitable[Any]]:
    """Return ``await eventually(condition, limit_s=10)``: poll until it is true, return it.

    ``condition`` is a function, sync or async, asked every 20 ms; the test fails when it has not
    said yes in time.
    """

    async def poll(condition: Callable[[], Any], limit_s: float = 10.0) -> Any:
        deadline = time.monotonic() + limit_s
        while True:
            answer = condition()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return answer
            if time.monotonic() > deadline:
                pytest.fail(f"not so within {limit_s} s: {inspect.getsource(condition).strip()}")
            await asyncio.sleep(0.02)

    return poll
