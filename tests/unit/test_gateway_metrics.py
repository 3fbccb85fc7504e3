"""The gateway's metrics: requests and errors by route, and the time until an answer begins."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.http.context import RequestContext
from gateway.http.metrics import Metrics
from tests.polling import eventually

STREAMED_S = 0.2


class Route:
    path = "/v1/jobs/{job_id}/events"


async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
    """Begin an answer at once, and end it after `STREAMED_S`."""
    began = perf_counter()
    scope["route"] = Route()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await eventually(lambda: perf_counter() - began > STREAMED_S)
    await send({"type": "http.response.body", "body": b""})


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise OSError("/secret/path")


async def asked(app: Any, method: str = "GET") -> Metrics:
    metrics, sent = Metrics(), []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": method, "path": "/v1/jobs/1/events", "headers": []}
    await RequestContext(app, metrics)(scope, receive, send)
    assert sent
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"lookstream_gateway_{name}", labels)


async def test_a_request_is_timed_until_its_answer_begins() -> None:
    metrics = await asked(streaming)
    route = {"route": Route.path, "method": "GET"}
    assert value(metrics, "requests_total", status="200", **route) == 1
    assert value(metrics, "request_seconds_count", **route) == 1
    seconds = value(metrics, "request_seconds_sum", **route)
    assert seconds is not None
    assert seconds < STREAMED_S


async def test_an_unhandled_exception_counts_as_status_500() -> None:
    metrics = await asked(failing, method="BREW")
    labels = {"route": "unmatched", "method": "other", "status": "500"}
    assert value(metrics, "requests_total", **labels) == 1


@pytest.mark.parametrize("name", ["unpublished_total", "sse_listeners"])
def test_metrics_start_at_zero(name: str) -> None:
    assert value(Metrics(), name) == 0
    assert value(Metrics(), "photos_total", outcome="accepted", code="") == 0
