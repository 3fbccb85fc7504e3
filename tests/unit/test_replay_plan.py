"""Which events of a topic a replay selects, and the new runs that it starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.consumers.replay import EventFilter, ReplayPlan, TopicScan, parse_time, with_run
from streams.errors import TopicNotReplayable, UnknownStage
from streams.events.codec import Envelope
from streams.events.models import ImageClassified, ImageSubmitted, Label, Source
from streams.stages.graph import StageGraph
from streams.stages.registry import PIPELINE

GRAPH = StageGraph(PIPELINE)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALL = GRAPH.names


def job_id(number: int = 1) -> str:
    return f"01941f29-7c00-7000-8000-{number:012}"


def submitted(number: int = 1, **more: Any) -> ImageSubmitted:
    return ImageSubmitted(job_id=job_id(number), source=Source(url="http://a/b.jpg"), **more)


def classified(**more: Any) -> ImageClassified:
    top5 = (Label(label="dress", probability=0.75), Label(label="skirt", probability=0.25))
    return ImageClassified(job_id=job_id(), sha256="0" * 64, top5=top5, model="m-1", **more)


def at(time: datetime, event: Any = None) -> Envelope:
    return Envelope(event or submitted(), "1", time)


# -- times -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        (" 90m ", NOON - 1.5 * HOUR),
        ("2h", NOON - 2 * HOUR),
        ("1d", NOON - 24 * HOUR),
        ("0s", NOON),
    ],
)
def test_a_time_is_one_of_iso_8601_or_so_long_back(text: str, meant: datetime) -> None:
    assert parse_time(text, NOON) == meant


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2x", "-2h", "999999999w", "0001-01-01T00:00:00+14:00", "2026-13-01"]
)
def test_an_invalid_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        parse_time(text, NOON)


# -- filters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (EventFilter(), True),
        (EventFilter(since=NOON), True),
        (EventFilter(since=NOON + HOUR), False),
        (EventFilter(until=NOON), False),
        (EventFilter(until=NOON + HOUR), True),
        (EventFilter(jobs=frozenset({job_id()})), True),
        (EventFilter(jobs=frozenset({job_id(2)})), False),
    ],
)
def test_times_and_jobs_narrow(selection: EventFilter, taken: bool) -> None:
    assert selection.matches(at(NOON)) is taken


MATCHES = [
    ("source.url", "http://a/b.jpg", True),
    ("source.url", "http://a", False),
    ("metadata.shop.id", "7", True),
    ("metadata.shop.id", "8", False),
    ("metadata.tags", "new", True),
    ("metadata.sold", "false", True),
    ("group", "null", True),
    ("stages", "pose", True),
    ("metadata.shop", "7", False),
    ("nothing.of.that", "7", False),
    ("source.url.deeper", "7", False),
]


@pytest.mark.parametrize(("path", "text", "taken"), MATCHES)
def test_fields_narrow(path: str, text: str, taken: bool) -> None:
    metadata = {"shop": {"id": 7}, "tags": ["new", "red"], "sold": False}
    event = submitted(metadata=metadata, stages=("pose", "shots"))
    assert EventFilter(match={path: text}).matches(at(NOON, event)) is taken


def test_a_list_matches_if_any_item_matches() -> None:
    assert EventFilter(match={"top5.label": "skirt"}).matches(at(NOON, classified()))
    assert EventFilter(match={"top5.probability": "0.25"}).matches(at(NOON, classified()))
    assert not EventFilter(match={"top5.label": "coat"}).matches(at(NOON, classified()))


def test_all_conditions_hold_together() -> None:
    assert not EventFilter(match={"job_id": job_id(), "run": "2"}).matches(at(NOON))


# -- the newest event of each job ------------------------------------------------------------


def test_each_jobs_newest_event_is_kept_and_all_is_counted() -> None:
    found = TopicScan()
    newest = at(NOON, submitted(1, run=2))
    for envelope in (at(NOON + HOUR), newest, None, at(NOON + 2 * HOUR), at(NOON, submitted(2))):
        found.add(envelope, EventFilter())
    assert (found.read, found.undecodable) == (5, 1)
    assert found.newest[job_id(1)] is newest
    assert set(found.newest) == {job_id(1), job_id(2)}


def test_of_one_run_the_later_event_is_kept_and_of_one_time_the_last() -> None:
    found = TopicScan()
    first, late, last = at(NOON), at(NOON + HOUR), at(NOON + HOUR)
    for envelope in (late, first, last):
        found.add(envelope, EventFilter())
    assert found.newest[job_id()] is last


def test_what_is_not_selected_is_not_kept() -> None:
    found = TopicScan()
    found.add(at(NOON), EventFilter(since=NOON + HOUR))
    assert (found.read, found.newest) == (1, {})


# -- the plan --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "stages"),
    [
        ("image-submitted", ALL),
        ("image-validated", ALL),
        ("image-classified", ("classification", "annotation")),
        ("pose-estimated", ("pose", "shots")),
    ],
)
def test_the_new_run_starts_after_the_stage_that_emits_the_topic(
    topic: str, stages: tuple[str, ...]
) -> None:
    assert ReplayPlan.of(GRAPH, topic).wanted(ALL) == stages


@pytest.mark.parametrize(
    "topic", ["image-captioned", "shots-cut", "job-updated", "dead-letters", "nonsense", ""]
)
def test_a_topic_that_no_stage_reads_is_refused(topic: str) -> None:
    with pytest.raises(TopicNotReplayable, match="image-validated"):
        ReplayPlan.of(GRAPH, topic)


def test_a_job_runs_what_it_wanted_and_no_more() -> None:
    plan = ReplayPlan.of(GRAPH, "image-validated")
    assert plan.wanted(("validation", "captioning")) == ("validation", "captioning")
    assert ReplayPlan.of(GRAPH, "image-submitted").wanted(("validation",)) == ("validation",)


@pytest.mark.parametrize(
    ("topic", "of_job"),
    [("image-validated", ("validation",)), ("pose-estimated", ("validation", "pose"))],
)
def test_a_job_without_stages_to_run_is_skipped(topic: str, of_job: tuple[str, ...]) -> None:
    assert ReplayPlan.of(GRAPH, topic).wanted(of_job) == ()


def test_requested_stages_run_with_their_upstream_stages() -> None:
    plan = ReplayPlan.of(GRAPH, "image-validated", ["shots"])
    assert plan.wanted(("validation", "captioning")) == ("validation", "pose", "shots")
    assert ReplayPlan.of(GRAPH, "pose-estimated", ["shots"]).wanted(ALL) == ("pose", "shots")


@pytest.mark.parametrize(
    ("topic", "stage"),
    [
        ("image-validated", "ironing"),
        ("image-validated", "validation"),
        ("pose-estimated", "captioning"),
    ],
)
def test_a_stage_that_the_topic_does_not_lead_to_is_refused(topic: str, stage: str) -> None:
    with pytest.raises(UnknownStage, match=stage):
        ReplayPlan.of(GRAPH, topic, [stage])


def test_the_event_begins_the_new_run_afresh() -> None:
    event = classified(run=3, attempts=3, force=True, stages=ALL)
    again = with_run(event, run=5, stages=("classification", "annotation"), force=False, now=NOON)
    assert isinstance(again, ImageClassified)
    assert (again.run, again.lane, again.force, again.stages) == (
        5,
        "bulk",
        False,
        ("classification", "annotation"),
    )
    assert (again.attempts, again.reused, again.started_at) == (1, True, NOON)
    assert (again.top5, again.model) == (event.top5, event.model)


def test_a_submission_begins_it_as_well() -> None:
    event = submitted(metadata={"a": 1}, group="g")
    again = with_run(event, run=2, stages=ALL, force=True, now=NOON)
    assert again == submitted(
        metadata={"a": 1}, group="g", run=2, stages=ALL, force=True, lane="bulk"
    )
