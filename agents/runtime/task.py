"""What a trace tells of a stage: a span for each event that it works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, Tracer

from streams.broker.records import Record
from streams.events.codec import Envelope
from streams.events.models import Event
from streams.events.tracing import begin, trace_id_of, traceparent_of


# One event on its way through a stage.
@dataclass(frozen=True)
class Task:
    """The event, the record that it came in, and how it has fared: tries that failed, and waits."""

    record: Record
    envelope: Envelope
    wanted: tuple[str, ...]
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    attempts: int = 0
    held: int = 0
    span: Span = INVALID_SPAN

    @property
    def event(self) -> Event:
        return self.envelope.event

    @property
    def traceparent(self) -> str | None:
        """What the events that come of it carry on."""
        return traceparent_of(self.span)

    @property
    def names(self) -> dict[str, object]:
        """Which job and trace a log line about it is of."""
        return {
            "job_id": self.event.job_id,
            "run": self.event.run,
            "trace_id": trace_id_of(self.traceparent),
        }


def consuming(tracer: Tracer, stage: str, record: Record, envelope: Envelope) -> Span:
    """Begin the span of a stage's work on one event, a child of the span that published it.

    Attributes are named by OpenTelemetry's semantic conventions for messaging, and our own.
    """
    event = envelope.event
    return begin(
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


def failed(span: Span, code: str) -> None:
    """Say in its span that the work on an event failed, with the failure's stable code."""
    span.set_attribute("error.type", code)
    span.set_status(StatusCode.ERROR, code)
