"""Stages of one's own: the decorator, the settings that add them, and their artifacts."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lookstream.settings import Settings
from lookstream.stages import ArtifactStore, ImageValidated, Payload, Rejected, Stage, stage
from lookstream.testing import MemoryArtifacts, run_stage, store_photo
from lookstream.wiring.gateway import extra_stages, models, stage_graph
from storage.artifacts import keys
from storage.artifacts.erasure import erase_content
from storage.jobs.sqlite.store import SqliteJobs
from tests.acceptance.toy_stage import mean_colour

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
        assert extra_stages(settings) == (mean_colour,)
        assert "colour" in stage_graph(settings).names
        assert mean_colour.emits in models(settings)
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
