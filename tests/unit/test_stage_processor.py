"""The stage processor: what the runtime does with each outcome of a stage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.stages.errors import BadAnswer, Rejected
from agents.stages.stage import CachedResult, FallbackResult, one_by_one
from storage.artifacts.store import ArtifactStore
from streams.events.models import Event, ImageSubmitted, Payload, Source
from tests.sewing import (
    SEW,
    TRACE,
    ClothSewn,
    Cut,
    Sewing,
    Sewn,
    as_a_whole,
    cut,
    number_of,
    raising,
    record,
    sew,
    the_failure,
)


@pytest.fixture
def sewing(tmp_path: Path) -> Iterator[Sewing]:
    sewing = Sewing(tmp_path)
    yield sewing
    sewing.pool.close()


async def test_results_keep_the_order_and_context_of_their_events(sewing: Sewing) -> None:
    events = await sewing.process(SEW, *(cut(number) for number in range(1, 6)))
    assert [number_of(event) for event in events] == [1, 2, 3, 4, 5]
    first = events[0]
    assert isinstance(first, ClothSewn)
    assert (first.seam, first.sha256) == ("seam 1", f"{1:064}")
    assert (first.run, first.lane, first.attempts, first.reused) == (2, "bulk", 1, False)
    assert first.stages == ("cutting", "sewing", "ironing")
    assert first.started_at is not None
    assert sewing.published.traces == [TRACE] * 5


async def test_the_wanted_garment_is_passed_on(sewing: Sewing) -> None:
    (event,) = await sewing.process(SEW, cut(1).model_copy(update={"wanted_item": 2}))
    assert isinstance(event, ClothSewn)
    assert event.wanted_item == 2


# -- cached results ----------------------------------------------------------------------------


async def test_a_cached_result_is_published_without_computing(sewing: Sewing) -> None:
    (first,) = await sewing.process(SEW, cut(1))
    (again,) = await sewing.process(SEW, cut(1, run=3))
    assert isinstance(again, ClothSewn)
    assert (again.run, again.reused) == (3, True)
    assert again.seam == first.model_dump()["seam"]
    assert sewing.calls == [1]


async def test_a_redelivered_record_leaves_the_same_artifacts(sewing: Sewing) -> None:
    one = record(cut(1))
    await sewing.process(SEW, one)
    kept = {key: sewing.artifacts.get(key) for key in sewing.artifacts.list()}
    await sewing.process(SEW, one)
    assert {key: sewing.artifacts.get(key) for key in sewing.artifacts.list()} == kept
    assert list(kept) == [f"results/{1:064}/sewing@1.json"]


async def test_force_computes_again(sewing: Sewing) -> None:
    await sewing.process(SEW, cut(1))
    (again,) = await sewing.process(SEW, cut(1, force=True))
    assert isinstance(again, ClothSewn)
    assert (again.reused, again.force) == (False, True)
    assert sewing.calls == [1, 1]


async def test_a_new_version_computes_again(sewing: Sewing) -> None:
    await sewing.process(SEW, cut(1))
    sewing.stage_facts = {"version": "2"}
    await sewing.process(SEW, cut(1))
    assert sewing.calls == [1, 1]


async def test_results_are_cached_separately_for_each_given_version(sewing: Sewing) -> None:
    sewing.stage_facts = {"given": lambda event: event.lane}
    await sewing.process(SEW, cut(1), cut(1, lane="interactive"), cut(1))
    assert sorted(sewing.artifacts.list()) == [
        f"results/{1:064}/sewing@1-bulk.json",
        f"results/{1:064}/sewing@1-interactive.json",
    ]


async def test_an_unreadable_cached_result_is_computed_again(sewing: Sewing) -> None:
    sewing.artifacts.put(f"results/{1:064}/sewing@1.json", b'{"seam"')
    (event,) = await sewing.process(SEW, cut(1))
    assert isinstance(event, ClothSewn)
    assert not event.reused


async def test_a_stage_may_return_a_cached_result(sewing: Sewing) -> None:
    known = one_by_one(lambda event, artifacts: CachedResult(sew(event, artifacts)))
    (event,) = await sewing.process(known, cut(1))
    assert isinstance(event, ClothSewn)
    assert event.reused


async def test_a_fallback_result_is_published_and_not_cached(sewing: Sewing) -> None:
    stopgap = one_by_one(lambda event, artifacts: FallbackResult(Sewn(seam="a pin")))
    (event,) = await sewing.process(stopgap, cut(1))
    assert isinstance(event, ClothSewn)
    assert (event.seam, event.reused, event.attempts) == ("a pin", False, 1)
    assert list(sewing.artifacts.list()) == []
    (event,) = await sewing.process(SEW, cut(1))
    assert isinstance(event, ClothSewn)
    assert (event.seam, event.reused) == ("seam 1", False)


# -- deleted jobs and replays ------------------------------------------------------------------


async def test_a_deleted_job_is_skipped(sewing: Sewing) -> None:
    sewing.deleted.add(cut(2).job_id)
    events = await sewing.process(SEW, cut(1), cut(2), cut(3))
    assert [number_of(event) for event in events] == [1, 3]
    assert sorted(sewing.calls) == [1, 3]


async def test_a_job_deleted_during_the_batch_is_not_computed(sewing: Sewing) -> None:
    def deleting(event: Cut, artifacts: ArtifactStore) -> Sewn:
        sewing.deleted.add(cut(9).job_id)
        return sew(event, artifacts)

    sewing.stage_facts = {"batch": 2}
    await sewing.process(one_by_one(deleting), *(cut(number) for number in range(1, 10)))
    assert 9 not in sewing.calls


async def test_a_deleted_job_is_not_retried(sewing: Sewing) -> None:
    def failing(event: Cut, artifacts: ArtifactStore) -> Sewn:
        sewing.deleted.add(event.job_id)
        raise OSError("once")

    assert await sewing.process(one_by_one(failing), cut(1)) == []
    assert sewing.calls == [1]


async def test_a_replay_run_wants_only_its_own_stages(sewing: Sewing) -> None:
    (event,) = await sewing.process(SEW, cut(1, stages=("sewing",)))
    assert isinstance(event, ClothSewn)
    assert event.stages == ("sewing",)
    assert await sewing.process(SEW, cut(2, stages=("ironing",))) == []


# -- failures ----------------------------------------------------------------------------------


async def test_a_rejection_fails_at_once_without_a_dead_letter(sewing: Sewing) -> None:
    bad = raising(Rejected("too-thin", "This cloth is too thin.", "0.1 mm"), 2)
    events = await sewing.process(bad, cut(1), cut(2), cut(3))
    failure = the_failure(events)
    assert (failure.kind, failure.code, failure.attempts) == ("rejected", "too-thin", 1)
    assert (failure.message, failure.detail) == ("This cloth is too thin.", "0.1 mm")
    assert (failure.job_id, failure.run, failure.lane) == (cut(2).job_id, 2, "bulk")
    assert [number_of(event) for event in events if isinstance(event, ClothSewn)] == [1, 3]
    assert sorted(sewing.calls) == [1, 2, 3]
    assert sewing.letters == []


async def test_any_other_error_is_tried_three_times_then_dead_lettered(sewing: Sewing) -> None:
    culprit = record(cut(2), offset=77)
    events = await sewing.process(raising(OSError("/secret/path"), 2), cut(1), culprit)
    failure = the_failure(events)
    assert (failure.kind, failure.code, failure.attempts) == ("error", "stage-error", 3)
    assert failure.message == "The stage failed unexpectedly (OSError)."
    assert sewing.calls.count(2) == 3
    (letter,) = sewing.letters
    assert letter["__connect.errors.topic"] == b"cloth-cut"
    assert letter["__connect.errors.offset"] == b"77"
    assert letter["__connect.errors.stage"] == b"sewing"
    assert letter["__connect.errors.exception.message"] == b"/secret/path"
    assert (letter["attempts"], letter["group"]) == (b"3", b"lookstream.sewing")
    assert sewing.published.letters[0].value == culprit.value


async def test_a_bad_answer_is_retried_and_keeps_its_own_code(
    sewing: Sewing,
) -> None:
    error = BadAnswer("needle-bent", "The needle is bent.")
    failure = the_failure(await sewing.process(raising(error, 1), cut(1), cut(2)))
    assert (failure.kind, failure.code, failure.attempts) == ("error", "needle-bent", 3)
    assert failure.message == "The needle is bent."
    assert sewing.letters[0]["code"] == b"needle-bent"


async def test_a_temporary_error_leaves_only_a_count_of_attempts(sewing: Sewing) -> None:
    (event,) = await sewing.process(raising(OSError("once"), times=2), cut(1))
    assert isinstance(event, ClothSewn)
    assert event.attempts == 3
    assert sewing.letters == []


@pytest.mark.parametrize("error", [MemoryError(), ValueError("shape")], ids=repr)
async def test_a_failing_batch_is_split_and_only_its_culprit_fails(
    sewing: Sewing, error: Exception
) -> None:
    work = as_a_whole(SEW, error, culprit=3)
    events = await sewing.process(work, *(cut(number) for number in range(1, 7)))
    assert number_of(the_failure(events)) == 3
    good = [number_of(event) for event in events if isinstance(event, ClothSewn)]
    assert good == [1, 2, 4, 5, 6]


WRONG_OUTCOMES: dict[str, Callable[[Sequence[Any]], Any]] = {
    "nothing": lambda events: None,
    "too few": lambda events: [],
    "too many": lambda events: [Sewn(seam="a")] * (len(events) + 1),
    "no outcome": lambda events: [None] * len(events),
    "no payload": lambda events: [{"seam": "a"}] * len(events),
    "another payload": lambda events: [Payload()] * len(events),
}


@pytest.mark.parametrize("consumes", [Cut, ImageSubmitted])
@pytest.mark.parametrize("name", WRONG_OUTCOMES)
async def test_a_stage_that_breaks_its_contract_fails(
    sewing: Sewing, name: str, consumes: type[Event]
) -> None:
    sewing.stage_facts = {"consumes": consumes}
    source = Source(url="http://a/b.jpg")
    given = cut(1) if consumes is Cut else ImageSubmitted(job_id=cut(1).job_id, source=source)
    events = await sewing.process(lambda events, _: WRONG_OUTCOMES[name](events), given)
    assert the_failure(events).code == "stage-error"


async def test_a_hanging_stage_times_out_and_other_items_continue(sewing: Sewing) -> None:
    over = threading.Event()

    def hang(event: Cut, artifacts: ArtifactStore) -> Sewn:
        if number_of(event) == 1:
            over.wait(20)
        return sew(event, artifacts)

    sewing.stage_facts = {"timeout_s": 0.05}
    try:
        events = await sewing.process(one_by_one(hang), *(cut(number) for number in range(1, 5)))
    finally:
        over.set()
    failure = the_failure(events)
    assert (number_of(failure), failure.code, failure.attempts) == (1, "stage-timeout", 3)
    assert {number_of(each) for each in events if isinstance(each, ClothSewn)} == {2, 3, 4}
    assert dict(sewing.letters[0])["code"] == b"stage-timeout"


# -- poison --------------------------------------------------------------------------------------


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


POISON: dict[str, tuple[Exception, dict[str, str]]] = {
    "a code that is a number": (
        Rejected(404, "gone"),  # type: ignore[arg-type]
        {"code": "404", "message": "gone", "detail": ""},
    ),
    "no detail": (
        Rejected("gone", "Gone.", None),  # type: ignore[arg-type]
        {"code": "gone", "message": "Gone.", "detail": ""},
    ),
    "no message": (
        Rejected("gone", None),  # type: ignore[arg-type]
        {"code": "gone", "message": "", "detail": ""},
    ),
    "texts over the limits": (
        Rejected("c" * 9_000, "m" * 9_000, "d" * 9_000),
        {"code": "c" * 100, "message": "m" * 2_000, "detail": "d" * 2_000},
    ),
    "half a surrogate": (
        Rejected("gone", "\ud800"),
        {"code": "gone", "message": "\\ud800", "detail": ""},
    ),
    "a delay that is no number": (
        Rejected("gone", "Gone.", Unprintable()),  # type: ignore[arg-type]
        {"detail": "(Unprintable without text: RuntimeError)"},
    ),
    "an error without text": (Unprintable(), {"code": "stage-error"}),
}


@pytest.mark.parametrize("name", POISON)
async def test_no_error_of_a_stage_escapes(sewing: Sewing, name: str) -> None:
    error, expected = POISON[name]
    events = await sewing.process(raising(error, 2), cut(1), cut(2), cut(3))
    assert sorted(number_of(event) for event in events) == [1, 2, 3]
    failure = the_failure(events).model_dump()
    assert {field: failure[field] for field in expected} == expected


async def test_a_result_that_is_not_json_fails_its_own_event(sewing: Sewing) -> None:
    def unfit(event: Cut, _: ArtifactStore) -> Sewn:
        return Sewn(seam="\ud800" if number_of(event) == 2 else "seam")

    events = await sewing.process(one_by_one(unfit), cut(1), cut(2), cut(3))
    assert sorted(number_of(event) for event in events) == [1, 2, 3]
    assert number_of(the_failure(events)) == 2
