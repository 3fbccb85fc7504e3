"""A Kafka record as it came, before anyone has made sense of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Record:
    """Raw bytes and where they stood. ``key`` and ``value`` may be None, as Kafka allows."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @classmethod
    def received(cls, message: Any) -> Record:
        """Take a message of confluent-kafka's as it came."""
        headers = tuple((name, value or b"") for name, value in message.headers() or ())
        place = message.topic(), message.partition(), message.offset()
        return cls(*place, message.key(), message.value(), headers)

    def header(self, name: str) -> bytes | None:
        """Return the last header of that name, whatever its case."""
        found = [value for key, value in self.headers if key.lower() == name]
        return found[-1] if found else None

    def job_id(self) -> str | None:
        """Return the job that the record's subject or key names, if it is a UUID."""
        for raw in (self.header("ce_subject"), self.key):
            try:
                return str(UUID((raw or b"").decode("ascii")))
            except (ValueError, UnicodeDecodeError):
                continue
        return None
