"""Reading an event stream, as a client of Server-Sent Events does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One event: its name, its id, and its data read as JSON."""

    name: str
    id: str
    data: dict[str, Any]


class EventReader:
    """Parses lines into events. ``last_id`` is what a client sends as Last-Event-ID."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.comments = 0
        self._name = ""
        self._data: list[str] = []

    def read(self, line: str) -> Event | None:
        """Take one line, without its end; return the event that it completes."""
        if not line:
            return self._complete()
        if line.startswith(":"):
            self.comments += 1
        field, _, value = line.partition(": ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id":
            self.last_id = value
        return None

    def events(self, lines: Iterable[str]) -> Iterator[Event]:
        """Return the events as their lines come."""
        for line in lines:
            if event := self.read(line):
                yield event

    def _complete(self) -> Event | None:
        name, data = self._name, "\n".join(self._data)
        self._name, self._data = "", []
        return Event(name, self.last_id, json.loads(data)) if data else None
