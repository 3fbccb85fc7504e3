"""One event on its way through a stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from opentelemetry.trace import INVALID_SPAN, Span

from streams.codec import Envelope
from streams.events import Event
from streams.record import Record
from streams.tracing import trace_id_of, traceparent_of


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
