"""What a trace tells of a stage: a span for each event that it works on."""

from __future__ import annotations

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from streams.codec import Envelope
from streams.record import Record
from streams.tracing import begin


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
