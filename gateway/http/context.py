"""The outermost middleware: request id, safe headers, log context, metrics, trace, last error
handler.

FastAPI creates the request's span. Without tracing, the caller's trace (W3C Trace Context)
continues unchanged through every event of a job.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from time import perf_counter
from typing import Any

import structlog
import uuid_utils
from fastapi import Request
from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import TracerProvider, get_current_span
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.metrics import Metrics
from gateway.http.problem_responses import as_problem, render
from streams.events.tracing import new_traceparent, trace_id_of, traceparent_of

log = structlog.get_logger(__name__)

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}
CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestContext:
    """Adds a request id and safe headers. Logs an unexpected error and answers 500 without its
    text."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, request_id, status, told = perf_counter(), _request_id(scope), 0, 0.0
        trace_id = trace_id_of(join_trace(scope))

        async def send_safely(message: Message) -> None:
            nonlocal status, told
            if message["type"] == "http.response.start":
                status, told = message["status"], perf_counter()
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id, trace_id=trace_id):
            try:
                await self._app(scope, receive, send_safely)
            except Exception as error:
                log.exception("request_failed", path=scope["path"])
                if status:
                    raise  # the answer has begun, so only a broken connection can report the error
                await render(as_problem(error), scope["path"])(scope, receive, send_safely)
            finally:
                # An event stream may last for hours, so the time until its start is measured.
                self._metrics.answered(scope, status or 500, (told or perf_counter()) - began)


def _request_id(scope: Scope) -> str:
    asked = Headers(scope=scope).get("x-request-id", "")
    return asked if CLIENT_ID.fullmatch(asked) else str(uuid_utils.uuid7())


_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)

# Probes are too frequent to trace, and artifact links contain a signature.
_UNTRACED = ("/health/", "/metrics", "/v1/artifacts/")


def request_tracing(tracers: TracerProvider) -> TelemetryConfig:
    """Return FastAPI's tracing settings: one span per request, as part of the caller's trace."""
    return {
        "tracer_provider": tracers,
        "exclude": _untraced,
        "operation_spans": False,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
    }


def join_trace(scope: Scope) -> str:
    """Return the traceparent of this request, and store it in the request's headers.

    The traceparent is that of the request's span; without a span, the caller's; without both, that
    of a new trace.
    """
    asked = Headers(scope=scope).get("traceparent", "")
    known = asked if _TRACEPARENT.fullmatch(asked) else None
    joined = traceparent_of(get_current_span()) or known or new_traceparent()
    MutableHeaders(scope=scope)["traceparent"] = joined
    return joined


def traceparent(request: Request) -> str:
    """Return the traceparent for the events of a request, after `join_trace`."""
    return request.headers["traceparent"]


def _untraced(scope: MutableMapping[str, Any]) -> bool:
    return str(scope.get("path", "")).startswith(_UNTRACED)
