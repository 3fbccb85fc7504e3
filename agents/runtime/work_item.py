"""One event on its way through a stage, and the trace span of that work."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, Tracer

from streams.broker.records import Record
from streams.events.codec import Envelope
from streams.events.models import Event
from streams.events.tracing import start_span, trace_id_of, traceparent_of


@dataclass(frozen=True)
class WorkItem:
    """An event, its record, the stages of its run, and the number of failed tries and of waits."""

    record: Record
    envelope: Envelope
    wanted: tuple[str, ...]
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    attempts: int = 0
    waits: int = 0
    span: Span = INVALID_SPAN

    @property
    def event(self) -> Event:
        return self.envelope.event

    @property
    def traceparent(self) -> str | None:
        """The trace context of the events that the stage publishes for this item."""
        return traceparent_of(self.span)

    @property
    def log_fields(self) -> dict[str, object]:
        """The job and the trace, for log lines about this item."""
        return {
            "job_id": self.event.job_id,
            "run": self.event.run,
            "trace_id": trace_id_of(self.traceparent),
        }


def start_consumer_span(tracer: Tracer, stage: str, record: Record, envelope: Envelope) -> Span:
    """Start the span of a stage's work on one event. The parent is the span that published the
    event.

    Attribute names follow OpenTelemetry's semantic conventions for messaging; the
    ``lookstream.…`` names are our own.
    """
    event = envelope.event
    return start_span(
        tracer,
        stage,
        kind=SpanKind.CONSUMER,
        parent=envelope.traceparent,
        attributes={
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": f"lookstream.{stage}",
            "messaging.message.id": envelope.id,
            "lookstream.job_id": event.job_id,
            "lookstream.run": event.run,
            "lookstream.stage": stage,
        },
    )


def mark_failed(span: Span, code: str) -> None:
    """Record in the span that the work failed with the stable error ``code``."""
    span.set_attribute("error.type", code)
    span.set_status(StatusCode.ERROR, code)
