"""A dead letter: the unchanged record, and Kafka Connect's headers about the error."""

from __future__ import annotations

from dataclasses import replace

from agents.runtime.dead_letters import DeadLetterPublisher, dead_letter
from agents.runtime.metrics import StageMetrics
from agents.runtime.retry import RetryPolicy, UnavailableRetry
from streams.broker.records import Record
from tests.publishing import MemoryPublisher

RECORD = Record(
    topic="image-validated",
    partition=3,
    offset=41,
    key=b"key",
    value=b"\xff not ours",
    headers=(("ce_id", b"1"), ("ce_id", b"2")),
)


def raised(message: str) -> ValueError:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def headers_of(error: BaseException, record: Record = RECORD) -> dict[str, bytes]:
    letter = dead_letter(record, error, stage="pose", attempts=3, code="stage-error")
    return dict(letter.headers)


def test_the_record_is_untouched() -> None:
    letter = dead_letter(RECORD, raised("no"), stage="pose", attempts=3, code="stage-error")
    assert (letter.topic, letter.key, letter.value) == ("dead-letters", b"key", b"\xff not ours")
    assert letter.headers[:2] == RECORD.headers


def test_the_headers_contain_the_position_and_the_error() -> None:
    headers = headers_of(raised("no such shoe"))
    trace = headers.pop("__connect.errors.exception.stacktrace")
    assert b"in raised" in trace
    assert trace.endswith(b"ValueError: no such shoe\n")
    assert headers == {
        "ce_id": b"2",
        "__connect.errors.topic": b"image-validated",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"41",
        "__connect.errors.stage": b"pose",
        "__connect.errors.exception.class.name": b"builtins.ValueError",
        "__connect.errors.exception.message": b"no such shoe",
        "attempts": b"3",
        "group": b"lookstream.pose",
        "code": b"stage-error",
    }


def test_headers_can_always_be_written() -> None:
    assert headers_of(raised("\ud800"))["__connect.errors.exception.message"] == b"\\ud800"


def test_headers_stay_small() -> None:
    headers = headers_of(raised("x" * 1_000_000))
    assert sum(len(value) for value in headers.values()) < 20_000


def test_a_record_without_key_and_value_can_be_a_dead_letter() -> None:
    empty = Record("image-submitted", 0, 0, None, None)
    letter = dead_letter(empty, raised("no"), stage="s", attempts=1, code="c")
    assert (letter.key, letter.value) == (None, None)


def test_headers_over_the_limit_are_dropped_and_counted() -> None:
    big = replace(RECORD, headers=(("ce_id", b"1"), ("x", b"x" * 3_000_000), ("y", b"2")))
    headers = headers_of(raised("no"), big)
    assert headers["ce_id"] == b"1"
    assert headers["headers.dropped"] == b"2"
    assert sum(len(value) for value in headers.values()) < 20_000


def test_an_error_without_text_has_a_letter() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    headers = headers_of(Unprintable())
    assert headers["__connect.errors.exception.message"] == b"Unprintable"


async def test_a_letter_gets_smaller_until_the_broker_accepts_it() -> None:
    published, retry = MemoryPublisher(), UnavailableRetry("pose", RetryPolicy())
    published.too_large = lambda letter: letter.key is not None
    publisher = DeadLetterPublisher("pose", published, retry, StageMetrics())
    await publisher.publish(RECORD, raised("no"), code="stage-error")
    (letter,) = published.letters
    assert (letter.key, letter.value, dict(letter.headers)["code"]) == (None, None, b"stage-error")
