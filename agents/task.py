"""One event on its way through a stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from streams.codec import Envelope
from streams.events import Event
from streams.record import Record


@dataclass(frozen=True)
class Task:
    """The event, the record that it came in, and how it has fared: tries that failed, and waits."""

    record: Record
    envelope: Envelope
    wanted: tuple[str, ...]
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    attempts: int = 0
    held: int = 0

    @property
    def event(self) -> Event:
        return self.envelope.event
