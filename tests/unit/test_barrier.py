"""The barrier: whatever a processor raises, the other records are processed; nothing escapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from agents.runtime.metrics import StageMetrics
from agents.runtime.retry import RetryPolicy
from agents.workers.barrier import Barrier
from storage.errors import StoreUnavailable
from streams.broker.records import Record
from streams.events.codec import Encoded
from streams.events.models import StageFailed
from tests.publishing import MemoryPublisher

JOB = "01941f29-7c00-7000-8000-000000000001"
FAST = RetryPolicy(attempts=3, base_s=0.001, cap_s=0.002)


class Toy:
    """Processes records one by one; ``fault`` returns the error of a value, or None."""

    name, topics, batch = "toy", ("toy",), 100
    waiting_for, step_limit_s, last_progress = None, 0.0, 0.0

    def __init__(self, fault: Callable[[bytes], BaseException | None]) -> None:
        self._fault = fault
        self.tries: list[bytes] = []
        self.done: set[bytes] = set()

    async def process(self, records: Sequence[Record]) -> None:
        for record in records:
            value = record.value or b""
            self.tries.append(value)
            if error := self._fault(value):
                raise error
            self.done.add(value)


def record(value: bytes) -> Record:
    return Record("toy", 0, 0, JOB.encode(), value)


def behind(toy: Toy, published: MemoryPublisher, *, stage: str | None = "validation") -> Barrier:
    return Barrier(toy, published, StageMetrics(), stage=stage, policy=FAST)


def codes(published: MemoryPublisher) -> list[bytes]:
    return [dict(letter.headers)["code"] for letter in published.letters]


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyError(7), RecursionError(), MemoryError(), UnicodeError()]
)
async def test_a_record_that_raises_is_isolated(error: Exception) -> None:
    published, toy = MemoryPublisher(), Toy(lambda value: error if value == b"2" else None)
    await behind(toy, published).process([record(b"%d" % number) for number in range(5)])
    assert toy.done == {b"0", b"1", b"3", b"4"}
    assert codes(published) == [b"record-error"]
    (failure,) = published.events
    assert isinstance(failure, StageFailed)
    assert (failure.job_id, failure.stage, failure.code) == (JOB, "validation", "record-error")


async def test_an_unavailable_dependency_costs_no_try() -> None:
    left = iter([StoreUnavailable("gone")] * 10)
    published, toy = MemoryPublisher(), Toy(lambda _: next(left, None))
    barrier = behind(toy, published)
    await barrier.process([record(b"0")])
    assert (toy.done, published.letters, barrier.waiting_for) == ({b"0"}, [], None)


async def test_the_job_of_another_processor_does_not_fail() -> None:
    published, toy = MemoryPublisher(), Toy(lambda _: ValueError("no"))
    await behind(toy, published, stage=None).process([record(b"0")])
    assert (codes(published), published.events) == ([b"record-error"], [])


async def test_a_failure_names_the_run_of_the_record() -> None:
    published, toy = MemoryPublisher(), Toy(lambda _: ValueError("no"))
    await behind(toy, published).process([record(b'{"run": 7}'), record(b'{"run": "x"}')])
    assert [event.run for event in published.events] == [7, 1]


async def test_a_record_that_ended_its_worker_is_not_tried_again() -> None:
    published, toy = MemoryPublisher(), Toy(lambda _: None)
    await behind(toy, published).refuse(record(b"0"), 3)
    assert toy.tries == []
    assert codes(published) == [b"record-ends-worker"]


async def test_nothing_escapes_even_without_a_dead_letter() -> None:
    class Broken(MemoryPublisher):
        async def send(self, records: Sequence[Encoded]) -> None:
            raise OSError("no")

    toy = Toy(lambda value: ValueError("no") if value == b"0" else None)
    await behind(toy, Broken()).process([record(b"0"), record(b"1")])
    assert toy.done == {b"1"}
