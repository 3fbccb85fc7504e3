"""One trace for each submission, sweep and replay of a job: events carry the W3C trace context as
``traceparent``.

The caller provides the tracer. A tracer that does not record passes the parent's context on, so
that a trace continues through processes without tracing. Source: W3C Trace Context, level 1.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from streams.events.models import Event

Attributes = Mapping[str, str | int]


def start_span(
    tracer: Tracer,
    name: str,
    *,
    kind: SpanKind,
    parent: str | None,
    attributes: Attributes,
) -> Span:
    """Start a span with a traceparent as its parent, or a new trace without one."""
    return tracer.start_span(name, context=_context(parent), kind=kind, attributes=attributes)


@contextmanager
def start_traces(
    tracer: Tracer, name: str, events: Sequence[Event]
) -> Iterator[list[tuple[Event, str | None]]]:
    """Start a trace for each event to publish; yield the events with their traceparents.

    Sweeps and replays use this function: no other event caused the events that they publish.
    """
    spans = [
        start_span(
            tracer,
            name,
            kind=SpanKind.PRODUCER,
            parent=None,
            attributes={"lookstream.job_id": event.job_id, "lookstream.run": event.run},
        )
        for event in events
    ]
    yield [(event, traceparent_of(span)) for event, span in zip(events, spans, strict=True)]
    for span in spans:
        span.end()


def traceparent_of(span: Span) -> str | None:
    """Return the traceparent for events caused by the span; None without a trace."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the trace id in a traceparent (32 hex digits), or None without a traceparent."""
    return traceparent.split("-")[1] if traceparent else None


def new_traceparent() -> str:
    """Return the context of a new trace that is not recorded. Its trace id still connects the log
    lines of a job.

    The ids are not secret, so `random` is enough and saves a system call; OpenTelemetry does the
    same.
    """
    trace_id, span_id = random.getrandbits(128) or 1, random.getrandbits(64) or 1
    return f"00-{trace_id:032x}-{span_id:016x}-00"


def _context(traceparent: str | None) -> Context:
    """Return a context with the parent only, independent of the current span."""
    if not traceparent:
        return Context()
    _, trace_id, span_id, flags = traceparent.split("-")
    parent = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())
