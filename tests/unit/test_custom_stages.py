"""Custom stages: the decorator, `LOOKSTREAM_STAGES`, their artifacts, and `lookstream.testing`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lookstream.errors import CannotStart
from lookstream.settings import Settings
from lookstream.stages import (
    ArtifactStore,
    ImageValidated,
    Payload,
    PoseEstimated,
    Rejected,
    Stage,
    stage,
)
from lookstream.testing import MemoryArtifacts, example_event, run_stage, store_photo
from lookstream.wiring.stages import custom_stages, event_models, stage_graph
from storage.artifacts import keys
from storage.artifacts.erasure import erase_content
from storage.jobs.sqlite.store import SqliteJobs
from streams.events.models import ImageSubmitted
from streams.stages.registry import RESULT_EVENTS
from tests.acceptance.toy_stage import MeanColour, mean_colour

BLUE = Image.new("RGB", (40, 30), "blue")
built: list[Stage] = []


class Size(Payload):
    pixels: int


def counted_factory() -> Stage:
    built.append(mean_colour)
    return mean_colour


def test_the_decorator_reads_events_from_the_annotations() -> None:
    @stage("size", version="1", topic="size-measured", timeout_s=5)
    def size(event: ImageValidated, artifacts: ArtifactStore) -> Size:
        return Size(pixels=event.width * event.height)

    assert (size.consumes, size.payload, size.timeout_s) == (ImageValidated, Size, 5)
    assert (size.emits.__name__, size.emits.topic) == ("SizeMeasured", "size-measured")
    event = size.emits(job_id="0" * 32, sha256="a" * 64, pixels=3)
    assert event.model_dump()["pixels"] == 3
    assert run_stage(size, BLUE) == Size(pixels=1200)


def test_a_rejection_is_raised_by_run_stage() -> None:
    @stage("no", version="1")
    def no(event: ImageValidated, artifacts: ArtifactStore) -> Size:
        raise Rejected("too-blue", "the photo is too blue")

    with pytest.raises(Rejected, match="too blue"):
        run_stage(no, BLUE)


def test_missing_annotations_are_named() -> None:
    with pytest.raises(TypeError, match="first parameter"):

        @stage("a", version="1")
        def a(event, artifacts) -> Size: ...  # type: ignore[no-untyped-def, empty-body]

    with pytest.raises(TypeError, match="return value"):

        @stage("b", version="1")
        def b(event: ImageValidated, artifacts: ArtifactStore) -> int: ...  # type: ignore[empty-body]


def test_a_factory_runs_once_per_process() -> None:
    settings = Settings(stages=f"{__name__}:counted_factory")
    for _ in range(3):
        assert custom_stages(settings) == (mean_colour,)
        assert "colour" in stage_graph(settings).names
        assert mean_colour.emits in event_models(settings)
    assert built == [mean_colour]


async def test_deleting_the_content_deletes_what_the_stage_stored(tmp_path: Path) -> None:
    artifacts, jobs = MemoryArtifacts(), SqliteJobs(tmp_path / "jobs.sqlite")
    found = run_stage(mean_colour, BLUE, artifacts=artifacts)
    sha256 = store_photo(BLUE, artifacts).sha256
    assert artifacts.exists(found.swatch)
    kinds = stage_graph(Settings(stages="tests.acceptance.toy_stage:mean_colour")).artifacts
    assert await erase_content(jobs, artifacts, sha256, "some-job", kinds)
    assert artifacts.list() == []
    assert keys.of_stage("colour", sha256, "swatch.png") == found.swatch


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("no_such_module:stage", "cannot import no_such_module:stage"),
        ("tests.acceptance.toy_stage:nothing", "cannot import tests.acceptance.toy_stage:nothing"),
        ("tests.acceptance.toy_stage", "cannot import"),
        ("tests.acceptance.toy_stage:io", "is a module, not a Stage"),
        (f"{__name__}:second_pose", "stage pose: the name is taken"),
        (f"{__name__}:second_topic", "stage other-pose: the topic pose-estimated is taken"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_reason(names: str, message: str) -> None:
    with pytest.raises(CannotStart, match=f"LOOKSTREAM_STAGES: .*{message}"):
        stage_graph(Settings(stages=names))


def second_pose() -> Stage:
    return replace(mean_colour, name="pose")


def second_topic() -> Stage:
    return replace(mean_colour, name="other-pose", emits=PoseEstimated)


@pytest.mark.parametrize("change", [{"name": "Mean Colour"}, {"name": ""}, {"artifacts": ("",)}])
def test_a_name_that_no_key_can_contain_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not a word"):
        replace(mean_colour, **change)


def test_a_payload_may_not_redefine_the_fields_of_every_result() -> None:
    class Run(Payload):
        attempts: str

    def work(event: ImageValidated, artifacts: ArtifactStore) -> Run: ...  # type: ignore[empty-body]

    work.__annotations__["return"] = Run
    with pytest.raises(TypeError, match="every result has a field attempts"):
        stage("run", version="1")(work)


def test_a_stage_without_the_decorator_has_its_artifacts_deleted_too() -> None:
    assert "stages/by-hand" in stage_graph(Settings(stages=f"{__name__}:by_hand")).artifacts


def by_hand() -> Stage:
    return replace(mean_colour, name="by-hand")


def test_there_is_an_example_of_every_event_that_a_stage_may_consume() -> None:
    validated = store_photo(BLUE, MemoryArtifacts())
    for model in (ImageSubmitted, *RESULT_EVENTS):
        assert type(example_event(model, validated)) is model
    with pytest.raises(ValueError, match="no example of ColourCompleted"):
        example_event(mean_colour.emits, validated)


def test_run_stage_warms_up_and_checks_the_payload() -> None:
    warmed: list[str] = []

    @stage("wrong", version="1", warm_up=lambda: warmed.append("yes"))
    def wrong(event: ImageValidated, artifacts: ArtifactStore) -> Size:
        return MeanColour(colour="#000000", swatch="")  # type: ignore[return-value]

    with pytest.raises(TypeError, match="MeanColour instead of Size"):
        run_stage(wrong, BLUE)
    assert warmed == ["yes"]
