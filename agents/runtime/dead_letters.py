"""Writes dead letters: records that cannot be processed go to the topic `dead-letters`.

Every dead letter of the product is published by `DeadLetterPublisher`.
"""

from __future__ import annotations

import traceback
from dataclasses import replace

from agents.runtime.metrics import StageMetrics
from agents.runtime.processor import Publisher
from agents.runtime.retry import UnavailableRetry
from streams.broker.records import Record
from streams.broker.topics import DEAD_LETTERS
from streams.errors import EventTooLarge
from streams.events.codec import Encoded

_CONNECT = "__connect.errors."
_CHARACTERS = 8_000
"""Longer headers are cut at the front: the end of a stack trace is the most useful part."""


class DeadLetterPublisher:
    """Publishes the dead letters of one stage and counts them."""

    def __init__(
        self, stage: str, publisher: Publisher, retry: UnavailableRetry, metrics: StageMetrics
    ) -> None:
        self._stage = stage
        self._publisher = publisher
        self._retry = retry
        self._metrics = metrics

    async def publish(
        self, record: Record, error: BaseException, *, code: str, attempts: int = 1
    ) -> None:
        """Return when the broker has the dead letter, however long the broker is unavailable.

        When the broker refuses the record as too large, only the key and the headers are sent.
        """
        letter = dead_letter(record, error, stage=self._stage, attempts=attempts, code=code)
        try:
            await self._send(letter)
        except EventTooLarge:
            await self._send(replace(letter, value=None))
        self._metrics.dead_letters.labels(self._stage).inc()

    async def _send(self, letter: Encoded) -> None:
        await self._retry.until_available(lambda: self._publisher.send([letter]))


def dead_letter(
    record: Record, error: BaseException, *, stage: str, attempts: int, code: str
) -> Encoded:
    """Return the dead letter of ``record``: its key, value and headers, then our headers.

    The headers about the error have the names that Kafka Connect uses.
    """
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
