"""What every request gets: an id, safe headers, a log line's context, a metric, a last resort."""

from __future__ import annotations

import re
from time import perf_counter

import structlog
import uuid_utils
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import Metrics
from gateway.problem_responses import as_problem, render
from gateway.trace import join_trace
from streams.tracing import trace_id_of

log = structlog.get_logger(__name__)

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}
CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestContext:
    """The outermost middleware. An error that nobody caught ends here: logged, never leaked."""

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
                log.exception("request failed", action="answer", path=scope["path"])
                if status:
                    raise  # half an answer is out: only breaking the connection tells the client
                await render(as_problem(error), scope["path"])(scope, receive, send_safely)
            finally:
                # A stream of events may go on for hours: what counts is when it began.
                self._metrics.answered(scope, status or 500, (told or perf_counter()) - began)


def _request_id(scope: Scope) -> str:
    asked = Headers(scope=scope).get("x-request-id", "")
    return asked if CLIENT_ID.fullmatch(asked) else str(uuid_utils.uuid7())
