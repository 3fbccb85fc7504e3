"""A Kafka record before decoding."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Any
from uuid import UUID

Headers = tuple[tuple[str, bytes], ...]

HEADER_BYTES = 32_000
"""Limit of all headers of a record together: names, values, and `HEADER_OVERHEAD` for each."""
HEADER_OVERHEAD = 10
"""Bytes that Kafka adds to each header, at most."""

_HEADERS = methodcaller("headers")


@dataclass(frozen=True)
class Record:
    """A record's bytes and its position. ``key`` and ``value`` may be None."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @classmethod
    def received(cls, message: Any) -> Record:
        """Return the record of a confluent-kafka message; without headers if the name of one is not
        UTF-8."""
        headers = tuple((name, value or b"") for name, value in _named_headers(message))
        place = message.topic(), message.partition(), message.offset()
        return cls(*place, message.key(), message.value(), headers)

    def header(self, name: str) -> bytes | None:
        """Return the last header ``name`` (lower case). The case of headers is ignored."""
        found = [value for key, value in self.headers if key.lower() == name]
        return found[-1] if found else None

    @property
    def header_bytes(self) -> int:
        """The size of all headers, as `HEADER_BYTES` counts it."""
        return sum(
            len(name.encode(errors="replace")) + len(value) + HEADER_OVERHEAD
            for name, value in self.headers
        )

    def job_id(self) -> str | None:
        """Return the job id in the record's subject or key, or None if neither is a UUID."""
        for raw in (self.header("ce_subject"), self.key):
            try:
                return str(UUID((raw or b"").decode("ascii")))
            except (ValueError, UnicodeDecodeError):
                continue
        return None


def _named_headers(message: Any) -> Sequence[tuple[str, bytes | None]]:
    """Return the headers of a confluent-kafka message, or none if the name of one is not UTF-8.

    For such a name, the library sets an exception and returns a (name, value) tuple whose name is
    missing. Code that reads the missing name crashes the process. The interpreter may not notice
    the exception if it has specialised a frequent call (PEP 659). So `methodcaller` makes the call
    in C code, and ``gc.get_referents`` counts the parts of each tuple without reading them.
    """
    try:
        headers: Sequence[tuple[str, bytes | None]] = _HEADERS(message) or ()
    except (UnicodeDecodeError, SystemError):
        return ()
    return headers if all(len(gc.get_referents(pair)) == 2 for pair in headers) else ()
