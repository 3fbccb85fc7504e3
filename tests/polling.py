"""Wait for a condition: check it repeatedly, and fail at the deadline."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

PAUSE_S = 0.02
PATIENCE_S = 60.0
"""The default limit: fast work can take long on a busy machine."""


def until(condition: Callable[[], T], timeout_s: float = PATIENCE_S) -> T:
    """Return the condition's first true value; fail after ``timeout_s`` seconds without one."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, _late(condition, timeout_s)
        time.sleep(PAUSE_S)
    return value


async def eventually(condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """Do as `until` on an event loop; ``condition`` may be a coroutine function."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, _late(condition, timeout_s)
        await asyncio.sleep(PAUSE_S)


def _late(condition: Callable[[], Any], timeout_s: float) -> str:
    try:
        asked = inspect.getsource(condition).strip()
    except OSError:
        asked = repr(condition)
    return f"not so within {timeout_s:g} s: {asked}"
