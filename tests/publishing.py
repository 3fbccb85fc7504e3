"""A publisher in memory, for tests of processors and of the sweeper."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streams.errors import BrokerUnavailable, EventTooLarge
from streams.events.codec import Encoded
from streams.events.models import Event


class MemoryPublisher:
    """Stores what is published. Fails the next ``failures`` calls, and refuses ``too_large``."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.traces: list[str | None] = []
        self.letters: list[Encoded] = []
        self.failures = 0
        self.refused = 0
        self.too_large: Callable[[object], bool] = lambda _: False

    async def publish_all(self, events: Sequence[tuple[Event, str | None]]) -> None:
        self._accept([event for event, _ in events])
        self.events += [event for event, _ in events]
        self.traces += [trace for _, trace in events]

    async def send(self, records: Sequence[Encoded]) -> None:
        self._accept(records)
        self.letters += records

    def _accept(self, published: Sequence[object]) -> None:
        if self.failures:
            self.failures -= 1
            self.refused += 1
            raise BrokerUnavailable("the broker is unavailable")
        if any(self.too_large(each) for each in published):
            raise EventTooLarge("the record is too large")
