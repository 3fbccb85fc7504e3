"""The event that starts the next run of a job."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.replays.reruns import LAST_RUN, next_run
from storage.jobs.store import Job, StageState
from storage.jobs.transition import transition
from streams.errors import UnknownStage
from streams.events.models import ImageSubmitted, ImageValidated
from streams.stages.graph import StageGraph
from streams.stages.registry import PIPELINE

AT = datetime(2026, 1, 2, tzinfo=UTC)
SHA = "ab" * 32
GRAPH = StageGraph(PIPELINE)
VALIDATED = {
    "sha256": SHA,
    "perceptual_hash": "0f",
    "original": f"originals/{SHA}",
    "working": f"working/{SHA}.jpg",
    "width": 3,
    "height": 4,
    "format": "JPEG",
    "bytes": 5,
}


def job(**changes: Any) -> Job:
    fresh = Job(
        job_id="01a20801-845d-768b-82dd-f448762e99cb",
        run=1,
        lane="bulk",
        status="completed",
        source={"url": "https://example.com/a.jpg"},
        owner="me",
        group="g",
        wanted=GRAPH.closure(["captioning"]),
        metadata={"a": 1},
        idempotency_key=None,
        force=True,
        submitted_at=AT,
        updated_at=AT,
        stages={
            "validation": StageState("completed", 1, result=VALIDATED),
            "captioning": StageState("completed", 1, result={"caption": "old"}),
        },
        revision=4,
    )
    return replace(fresh, **changes)


def test_a_validated_photo_starts_after_validation() -> None:
    coming = next_run(job(), GRAPH, AT)
    assert coming is not None
    event = coming.event
    assert isinstance(event, ImageValidated)
    assert (event.run, event.lane, event.sha256) == (2, "bulk", SHA)
    assert (event.stages, event.force) == (("validation", "captioning"), False)


def test_the_recorded_run_keeps_old_results() -> None:
    before = job()
    coming = next_run(before, GRAPH, AT, stages=["pose"], lane="interactive")
    assert coming is not None
    after = transition(before, coming.recorded)
    assert after is not None
    assert (after.run, after.status, after.wanted) == (2, "pending", ("validation", "pose"))
    assert (after.source, after.group, after.metadata) == (before.source, "g", {"a": 1})
    assert after.stages == before.stages
    assert after.lane == "interactive"


def test_the_wanted_garment_is_passed_on() -> None:
    for photo in (job(metadata={"item": 2}), job(metadata={"item": 2}, stages={})):
        coming = next_run(photo, GRAPH, AT)
        assert coming is not None
        assert coming.event.wanted_item == 2


@pytest.mark.parametrize(
    ("asked", "source"),
    [
        ({"revalidate": True}, {"object": f"originals/{SHA}"}),
        ({"force": True, "stages": ["validation"]}, {"object": f"originals/{SHA}"}),
    ],
)
def test_a_validated_photo_is_validated_again_on_request(
    asked: dict[str, Any], source: dict[str, str]
) -> None:
    coming = next_run(job(), GRAPH, AT, **asked)
    assert coming is not None
    assert isinstance(coming.event, ImageSubmitted)
    assert coming.event.source.model_dump(exclude_none=True) == source
    assert coming.recorded.source == job().source


@pytest.mark.parametrize("result", [None, {"sha256": "of another version"}])
def test_an_unvalidated_photo_is_submitted_again(result: dict[str, str] | None) -> None:
    stages = {
        "validation": StageState("failed" if result is None else "completed", 1, result=result)
    }
    coming = next_run(job(stages=stages), GRAPH, AT)
    assert coming is not None
    event = coming.event
    assert isinstance(event, ImageSubmitted)
    assert event.source.url == "https://example.com/a.jpg"
    assert (event.owner, event.group, event.metadata) == ("me", "g", {"a": 1})


@pytest.mark.parametrize(
    "without",
    [{"source": {}, "stages": {}}, {"source": {"moon": "x"}, "stages": {}}, {"run": LAST_RUN}],
)
def test_a_job_without_a_source_or_run_number_has_no_next_run(without: dict[str, Any]) -> None:
    assert next_run(job(**without), GRAPH, AT) is None


def test_a_removed_stage_is_dropped_from_the_job_but_refused_in_a_request() -> None:
    coming = next_run(job(wanted=("captioning", "ironing")), GRAPH, AT)
    assert coming is not None
    assert coming.event.stages == ("validation", "captioning")
    with pytest.raises(UnknownStage):
        next_run(job(), GRAPH, AT, stages=["ironing"])
