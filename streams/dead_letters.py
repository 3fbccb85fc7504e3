"""Dead letters: the raw record, untouched, and why it is here.

Header names are Kafka Connect's (KIP-298), so that its tools read them; ours are added.
"""

from __future__ import annotations

import traceback

from streams.codec import Encoded
from streams.record import Record
from streams.topics import DEAD_LETTERS

_CONNECT = "__connect.errors."
_CHARACTERS = 8_000
"""The end of a longer stacktrace tells most; a header has to fit beside the record."""


def dead_letter(
    record: Record, error: BaseException, *, stage: str, attempts: int, code: str
) -> Encoded:
    """Wrap a record that could not be processed. Its own headers stay, before ours."""
    facts = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "stage": stage,
        "exception.class.name": f"{type(error).__module__}.{type(error).__qualname__}",
        "exception.message": str(error),
        "exception.stacktrace": "".join(traceback.format_exception(error)),
    }
    ours = {"attempts": attempts, "group": f"lookstream.{stage}", "code": code}
    headers = (
        *record.headers,
        *((_CONNECT + name, _header(value)) for name, value in facts.items()),
        *((name, _header(value)) for name, value in ours.items()),
    )
    return Encoded(DEAD_LETTERS, record.key, record.value, headers)


def _header(value: object) -> bytes:
    return str(value)[-_CHARACTERS:].encode(errors="backslashreplace")
