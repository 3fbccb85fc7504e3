"""The stage processor: unavailable dependencies, undecodable records, unwanted stages."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agents.stages.errors import TakesLong, Unavailable
from agents.stages.stage import one_by_one
from storage.artifacts.store import ArtifactStore
from storage.errors import StoreUnavailable
from streams.broker.records import Record
from streams.events.models import ImageSubmitted, Source, StageFailed
from tests.sewing import SEW, ClothSewn, Cut, Sewing, Sewn, cut, number_of, raising, the_failure


@pytest.fixture
def sewing(tmp_path: Path) -> Iterator[Sewing]:
    sewing = Sewing(tmp_path)
    yield sewing
    sewing.pool.close()


# -- unavailable dependencies --------------------------------------------------------------------


@pytest.mark.parametrize("away", [StoreUnavailable("no disk"), Unavailable("vision", "off")])
async def test_an_unavailable_dependency_is_retried_without_counting_attempts(
    sewing: Sewing, away: Exception
) -> None:
    during: list[int] = []
    gauge: list[float | None] = []

    def watched(events: Sequence[Any], artifacts: ArtifactStore) -> Any:
        during.append(len(sewing.published.events) + len(sewing.published.letters))
        gauge.append(sewing.metric("holding"))
        return work(events, artifacts)

    work = raising(away, times=3)
    (event,) = await sewing.process(watched, cut(1))
    assert isinstance(event, ClothSewn)
    assert event.attempts == 1
    assert during == [0] * 4
    assert (gauge, sewing.metric("holding")) == ([0.0, 1.0, 1.0, 1.0], 0.0)


async def test_a_batch_waits_for_its_unavailable_store(sewing: Sewing) -> None:
    away = [True] * 6

    def work(events: Sequence[Any], artifacts: ArtifactStore) -> Any:
        if away:
            away.pop()
            raise StoreUnavailable("no disk")
        return SEW(events, artifacts)

    events = await sewing.process(work, cut(1), cut(2), cut(3))
    assert {number_of(event) for event in events} == {1, 2, 3}
    assert sewing.letters == []


class Frozen:
    """A store that stops answering and answers again later. Its calls hang, as on NFS."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self.answers = threading.Event()

    def __getattr__(self, name: str) -> Any:
        assert self.answers.wait(30), "the store stayed frozen"
        return getattr(self._store, name)


async def test_a_time_out_on_a_frozen_store_is_no_failure_of_the_stage(
    sewing: Sewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often than the stage has tries."""
    monkeypatch.setattr("agents.runtime.stage_processor.STORE_CHECK_S", 0.05)
    frozen = Frozen(sewing.artifacts)
    sewing.stage_facts = {"timeout_s": 0.05}
    sewing.artifacts = frozen  # type: ignore[assignment]
    calls = []

    def work(event: Cut, artifacts: ArtifactStore) -> Any:
        calls.append(event)
        if len(calls) > 6:
            frozen.answers.set()
        artifacts.exists("a")
        return Sewn(seam="done")

    (event,) = await sewing.process(one_by_one(work), cut(1, force=True))
    assert isinstance(event, ClothSewn)
    assert event.attempts == 1
    assert len(calls) > 6


async def test_work_that_takes_long_is_postponed(sewing: Sewing) -> None:
    class SewingPostponed(Cut):
        topic: ClassVar[str] = "sewing-postponed"

    sewing.stage_facts = {"postponed": lambda event: SewingPostponed(**event.model_dump())}
    late, made = sorted(
        await sewing.process(raising(TakesLong("knitting"), 1), cut(1), cut(2)), key=number_of
    )
    assert isinstance(late, SewingPostponed)
    assert (late.run, late.lane, late.sha256) == (2, "bulk", cut(1).sha256)
    assert isinstance(made, ClothSewn)
    assert sewing.calls.count(1) == 1


async def test_an_unavailable_broker_is_waited_for(sewing: Sewing) -> None:
    sewing.published.failures = 5
    events = await sewing.process(raising(ValueError("no"), 2), cut(1), cut(2))
    assert number_of(the_failure(events)) == 2
    assert len(events) == 2
    assert len(sewing.letters) == 1
    assert sewing.published.refused == 5


async def test_a_result_that_is_too_large_fails_alone(sewing: Sewing) -> None:
    sewing.published.too_large = lambda event: getattr(event, "seam", "") == "seam 2"
    events = await sewing.process(SEW, cut(1), cut(2), cut(3))
    assert the_failure(events).code == "event-too-large"
    assert {number_of(each) for each in events if isinstance(each, ClothSewn)} == {1, 3}


# -- undecodable records and unwanted stages -----------------------------------------------------


def junk(key: bytes | None, *headers: tuple[str, bytes]) -> Record:
    return Record("cloth-cut", 4, 99, key, b"not an event", headers)


@pytest.mark.parametrize(
    "named",
    [
        junk(cut(1).job_id.encode()),
        junk(None, ("CE_Subject", cut(1).job_id.upper().encode())),
        junk(b"other", ("ce_subject", cut(1).job_id.encode())),
    ],
)
async def test_an_undecodable_record_becomes_a_dead_letter_and_fails_its_job(
    sewing: Sewing, named: Record
) -> None:
    first, second = await sewing.process(SEW, named, cut(2))
    assert isinstance(first, StageFailed)
    assert (first.job_id, first.kind, first.code) == (
        cut(1).job_id,
        "rejected",
        "undecodable-event",
    )
    assert isinstance(second, ClothSewn)
    assert (sewing.published.letters[0].value, len(sewing.letters)) == (b"not an event", 1)


@pytest.mark.parametrize("key", [None, b"", b"seven", b"\xff"])
async def test_an_undecodable_record_without_a_job_becomes_only_a_dead_letter(
    sewing: Sewing, key: bytes | None
) -> None:
    assert await sewing.process(SEW, junk(key)) == []
    assert len(sewing.letters) == 1


async def test_a_dead_letter_that_is_too_large_is_sent_without_its_value(sewing: Sewing) -> None:
    sewing.published.too_large = lambda letter: getattr(letter, "value", None) is not None
    await sewing.process(SEW, junk(b"key"))
    (letter,) = sewing.published.letters
    assert (letter.key, letter.value) == (b"key", None)


async def test_a_stage_that_is_not_wanted_does_nothing(sewing: Sewing) -> None:
    assert await sewing.process(SEW, cut(1, stages=("ironing",)), cut(2, stages=("sewing",)))
    assert sewing.calls == [2]
    assert [number_of(event) for event in sewing.published.events] == [2]


async def test_only_the_first_stage_rejects_an_unknown_stage(sewing: Sewing) -> None:
    source = Source(url="http://a/b.jpg")
    first = ImageSubmitted(job_id=cut(1).job_id, source=source, stages=("washing",))
    assert await sewing.process(SEW, cut(1, stages=("washing",))) == []
    sewing.stage_facts = {"consumes": ImageSubmitted}
    (failure,) = await sewing.process(SEW, first)
    assert isinstance(failure, StageFailed)
    assert failure.code == "unknown-stage"
    assert "washing" in failure.message


async def test_a_rejection_of_very_many_stages_fits_an_event(sewing: Sewing) -> None:
    sewing.stage_facts = {"consumes": ImageSubmitted}
    names = tuple(f"{number:0100}" for number in range(200))
    source = Source(url="http://a/b.jpg")
    (failure,) = await sewing.process(
        SEW, ImageSubmitted(job_id=cut(1).job_id, source=source, stages=names)
    )
    assert len(failure.model_dump_json()) < 10_000
