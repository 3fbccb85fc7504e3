"""One trace a job: W3C trace contexts, carried from event to event as ``traceparent``.

Spans are made by the tracer that one is handed. The one that keeps nothing passes the parent's
context on, so that a trace goes through processes that do not record. Source: W3C Trace Context 1.
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
    """Begin a span under a traceparent; without one it is the first of its trace."""
    return tracer.start_span(name, context=_context(parent), kind=kind, attributes=attributes)


@contextmanager
def start_traces(
    tracer: Tracer, name: str, events: Sequence[Event]
) -> Iterator[list[tuple[Event, str | None]]]:
    """Begin a trace for each event that is about to be published; yield what each carries on.

    For what has no cause whose trace would still be looked at: a sweep, a replay.
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
    """Return what the span's events carry on; None where there is no trace."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the trace's name, as logs and trace viewers write it."""
    return traceparent.split("-")[1] if traceparent else None


def new_traceparent() -> str:
    """Return the context of a new trace that nobody records: it still joins the logs of a job.

    Its numbers are names, no secrets, and cost no system call, as OpenTelemetry's own.
    """
    trace_id, span_id = random.getrandbits(128) or 1, random.getrandbits(64) or 1
    return f"00-{trace_id:032x}-{span_id:016x}-00"


def _context(traceparent: str | None) -> Context:
    """Return a context of the parent's alone, whatever span is current here."""
    if not traceparent:
        return Context()
    _, trace_id, span_id, flags = traceparent.split("-")
    parent = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())
