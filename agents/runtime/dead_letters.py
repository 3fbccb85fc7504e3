"""Writes dead letters: records that cannot be processed go to the topic `dead-letters`.

Every dead letter of the product is published by `DeadLetterPublisher`.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import structlog

from agents.runtime.metrics import StageMetrics
from agents.runtime.processor import Publisher
from agents.runtime.retry import UnavailableRetry
from streams.broker.records import HEADER_BYTES, HEADER_OVERHEAD, Headers, Record
from streams.broker.topics import DEAD_LETTERS
from streams.errors import EventTooLarge
from streams.events.codec import Encoded

log = structlog.get_logger()

_CONNECT = "__connect.errors."
_CHARACTERS = 8_000
"""Limit of a header that is added. A longer header loses its beginning: the end of a stack trace is
the most useful part."""


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
        """Publish the dead letter of ``record``; return when the broker has it, however long the
        broker is unavailable.

        If the dead letter is refused, a smaller one is sent: without the value, then also without
        the record's headers, then also without its key. If all are refused, none is published.
        """
        letter = dead_letter(record, error, stage=self._stage, attempts=attempts, code=code)
        for smaller in _ever_smaller(letter, record):
            try:
                await self._retry.until_available(partial(self._publisher.send, [smaller]))
                break
            except (EventTooLarge, TypeError, ValueError) as refusal:
                log.warning("dead_letter_refused", stage=self._stage, reason=str(refusal)[:500])
        self._metrics.dead_letters.labels(self._stage).inc()


def _ever_smaller(letter: Encoded, record: Record) -> Iterator[Encoded]:
    yield letter
    yield (bare := replace(letter, value=None))
    yield (bare := replace(bare, headers=bare.headers[len(_kept(record.headers)) :]))
    yield replace(bare, key=None)


def dead_letter(
    record: Record, error: BaseException, *, stage: str, attempts: int, code: str
) -> Encoded:
    """Return the dead letter of ``record``: its key, value and headers, and headers with the error.

    Headers beyond `HEADER_BYTES` are dropped, and a header ``headers.dropped`` counts them.
    The headers about the error have the names that Kafka Connect uses.
    """
    facts = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "stage": stage,
        "exception.class.name": f"{type(error).__module__}.{type(error).__qualname__}",
        "exception.message": _message(error),
        "exception.stacktrace": "".join(traceback.format_exception(error)),
    }
    ours: dict[str, object] = {"attempts": attempts, "group": f"lookstream.{stage}", "code": code}
    if dropped := len(record.headers) - len(_kept(record.headers)):
        ours["headers.dropped"] = dropped
    headers = (
        *_kept(record.headers),
        *((_CONNECT + name, _header(value)) for name, value in facts.items()),
        *((name, _header(value)) for name, value in ours.items()),
    )
    return Encoded(DEAD_LETTERS, record.key, record.value, headers)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the error's own code
        return type(error).__name__


def _kept(headers: Headers) -> Headers:
    """Return the first headers, at most `HEADER_BYTES` in all."""
    left = HEADER_BYTES
    kept: list[tuple[str, bytes]] = []
    for name, value in headers:
        left -= len(name.encode(errors="replace")) + len(value) + HEADER_OVERHEAD
        if left < 0:
            break
        kept.append((name, value))
    return tuple(kept)


def _header(value: object) -> bytes:
    return str(value)[-_CHARACTERS:].encode(errors="backslashreplace")
