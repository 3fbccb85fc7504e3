"""A request's place in its trace (W3C Trace Context), which goes on through every event of a job.

FastAPI makes the request's span, and this module says how; where spans are not kept, the caller's
trace goes on as it came.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

from fastapi import Request
from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import TracerProvider, get_current_span
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Scope

from streams.tracing import new_traceparent, traceparent_of

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)

# Asked all day long, or, as links to artifacts, with a signature in the address.
_UNTRACED = ("/health/", "/metrics", "/v1/artifacts/")


def request_tracing(tracers: TracerProvider) -> TelemetryConfig:
    """Return how FastAPI traces requests: one span each, continuing the caller's trace."""
    return {
        "tracer_provider": tracers,
        "exclude": _untraced,
        "operation_spans": False,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
    }


def join_trace(scope: Scope) -> str:
    """Return the traceparent of what this request causes, and let its headers say the same.

    That is the request's own span; where none is kept, the caller's; else that of a new trace.
    """
    asked = Headers(scope=scope).get("traceparent", "")
    known = asked if _TRACEPARENT.fullmatch(asked) else None
    joined = traceparent_of(get_current_span()) or known or new_traceparent()
    MutableHeaders(scope=scope)["traceparent"] = joined
    return joined


def traceparent(request: Request) -> str:
    """Return what the events that a request causes carry on, once it has joined its trace."""
    return request.headers["traceparent"]


def _untraced(scope: MutableMapping[str, Any]) -> bool:
    return str(scope.get("path", "")).startswith(_UNTRACED)
