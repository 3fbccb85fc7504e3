"""A forged result event gives no access to other content, and changes no other job's artifacts."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agents.runtime.compute import ComputePool
from agents.runtime.metrics import StageMetrics
from agents.runtime.retry import RetryPolicy
from agents.runtime.stage_processor import StageProcessor
from agents.stages.annotation import annotation_stage
from agents.stages.shots import shots_stage
from agents.stages.stage import Stage
from agents.stages.thumbnailing import thumbnailing_stage
from agents.tracking.projection import TrackingProcessor
from gateway.views.jobs import job_view
from lookstream.stages import ArtifactStore, ImageValidated, Payload, PoseEstimated, ShotsCut, stage
from lookstream.testing import MemoryArtifacts, store_photo
from storage.artifacts import keys
from storage.jobs.sqlite.store import SqliteJobs
from streams.events.models import (
    Event,
    ImageAnnotated,
    ImageClassified,
    ImageSubmitted,
    ImageThumbnailed,
    Label,
    ShotsPostponed,
    Source,
    StageFailed,
    Thumbnail,
)
from streams.stages.graph import StageGraph
from streams.stages.registry import PIPELINE, RESULT_EVENTS
from tests.garments import encoded
from tests.publishing import MemoryPublisher
from tests.sewing import record

MINE = "01941f29-7c00-7000-8000-000000000002"
PRIVATE = keys.upload("01941f29-7c00-7000-8000-000000000003")
BOX = {"left": 0.1, "top": 0.1, "right": 0.9, "bottom": 0.9}
GRAPH = StageGraph(PIPELINE)


class Size(Payload):
    width: int


@stage("size", version="1")
def size(event: ImageValidated, artifacts: ArtifactStore) -> Size:
    """A custom stage as documented: it reads the working copy by the event's key."""
    return Size(width=Image.open(io.BytesIO(artifacts.get(event.working))).width)


@stage("shot-size", version="1")
def shot_size(event: ShotsCut, artifacts: ArtifactStore) -> Size:
    return Size(width=Image.open(io.BytesIO(artifacts.get(event.shots[0].key))).width)


class Cutter:
    """Cuts nothing: answers with the boxes, so that other boxes give other bytes."""

    def room(self, size: int, *, quick_s: float | None = None) -> AbstractContextManager[None]:
        return nullcontext()

    def measure(self, data: bytes) -> tuple[int, int]:
        return 3000, 4000

    def crops(
        self, data: bytes, boxes: Sequence[Any], *, quick_s: float | None = None
    ) -> list[bytes]:
        return [repr(box).encode() for box in boxes]

    def warm_up(self) -> None:
        return None


@pytest.fixture
def artifacts() -> MemoryArtifacts:
    store = MemoryArtifacts()
    store.put(PRIVATE, encoded(Image.new("RGB", (333, 40), "red"), "JPEG"))
    return store


@pytest.fixture
def victim(artifacts: MemoryArtifacts) -> ImageValidated:
    """A validated photo of another client."""
    return store_photo(Image.new("RGB", (64, 48), "teal"), artifacts)


async def run(stage: Stage, artifacts: MemoryArtifacts, *events: Event) -> list[Event]:
    published = MemoryPublisher()
    processor = StageProcessor(
        stage,
        graph=StageGraph([*PIPELINE, size.node, shot_size.node]),
        artifacts=artifacts,
        publisher=published,
        pool=ComputePool(threads=1),
        metrics=StageMetrics(),
        policy=RetryPolicy(attempts=1, base_s=0.001, cap_s=0.002),
    )
    await processor.process([record(event) for event in events])
    return published.events


def pictures(artifacts: MemoryArtifacts) -> dict[str, bytes]:
    return {key: artifacts.get(key) for key in artifacts.list()}


@pytest.mark.parametrize("stage", [thumbnailing_stage(), size], ids=["built-in", "custom"])
async def test_a_stage_reads_only_the_working_copy_that_validation_wrote(
    stage: Stage, artifacts: MemoryArtifacts, victim: ImageValidated
) -> None:
    (true,) = await run(stage, artifacts, victim)
    before = pictures(artifacts)
    forged = victim.model_copy(
        update={"job_id": MINE, "force": True, "working": PRIVATE, "original": PRIVATE}
    )
    (result,) = await run(stage, artifacts, forged)
    assert pictures(artifacts) == before
    facts = {"attempts", "started_at", "job_id", "force"}
    assert result.model_dump(exclude=facts) == true.model_dump(exclude=facts)


async def test_a_custom_stage_never_sees_a_key_of_other_content(
    artifacts: MemoryArtifacts, victim: ImageValidated
) -> None:
    shot = {"label": "neck", "box": BOX, "reason": "r", "confidence": 1, "key": PRIVATE}
    forged = ShotsCut.model_validate({"job_id": MINE, "sha256": victim.sha256, "shots": [shot]})
    (failure,) = await run(shot_size, artifacts, forged)
    assert failure.topic == "stage-failed"
    assert failure.model_dump()["code"] == "undecodable-event"


@pytest.mark.parametrize("force", [False, True])
async def test_forged_classes_do_not_change_the_annotated_picture(
    artifacts: MemoryArtifacts, victim: ImageValidated, force: bool
) -> None:
    def classes(word: str, **more: Any) -> ImageClassified:
        top5 = (Label(label=word, probability=0.5),)
        facts = {"job_id": victim.job_id, "sha256": victim.sha256, "model": "m", **more}
        return ImageClassified(top5=top5, **facts)

    (true,) = await run(annotation_stage(), artifacts, classes("dress"))
    before = pictures(artifacts)
    await run(annotation_stage(), artifacts, classes("stolen", job_id=MINE, force=force))
    assert before.items() <= pictures(artifacts).items()
    (again,) = await run(annotation_stage(), artifacts, classes("dress"))
    assert isinstance(true, ImageAnnotated)
    assert isinstance(again, ImageAnnotated)
    assert (again.key, again.reused) == (true.key, True)


@pytest.mark.parametrize("force", [False, True])
async def test_a_forged_pose_does_not_change_the_shots(
    artifacts: MemoryArtifacts, victim: ImageValidated, force: bool
) -> None:
    def posed(left: float, **more: Any) -> PoseEstimated:
        facts = {"job_id": victim.job_id, "sha256": victim.sha256, "model": "m", **more}
        point = {"name": "left_collar", "x": 0.3, "y": 0.3, "confidence": 1}
        box = {**BOX, "left": left}
        return PoseEstimated.model_validate(
            {"subject": "laid-out", "box": box, "keypoints": [point], **facts}
        )

    cutter = shots_stage(decoder=Cutter())
    await run(cutter, artifacts, posed(0.1))
    before = pictures(artifacts)
    assert any(key.startswith(f"shots/{victim.sha256}/") for key in before)
    await run(cutter, artifacts, posed(0.5, job_id=MINE, force=force))
    assert before.items() <= pictures(artifacts).items()


async def test_postponed_shots_name_only_the_cutout_of_their_own_content(
    artifacts: MemoryArtifacts, victim: ImageValidated
) -> None:
    def postponed(sha256: str) -> ShotsPostponed:
        return ShotsPostponed.model_validate(
            {
                "job_id": victim.job_id,
                "sha256": victim.sha256,
                "subject": "laid-out",
                "box": BOX,
                "cutout": keys.cutout(sha256, "m"),
                "model": "m",
            }
        )

    slow = shots_stage(decoder=Cutter()).slow_part()
    assert slow is not None
    (cut,) = await run(slow, artifacts, postponed(victim.sha256))
    assert isinstance(cut, ShotsCut), cut
    (refused,) = await run(slow, artifacts, postponed("0" * 64))
    assert isinstance(refused, StageFailed)
    assert (refused.stage, refused.code) == ("shots", "undecodable-event")


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobs]:
    store = SqliteJobs(tmp_path / "jobs.sqlite")
    yield store
    await store.close()


async def test_tracking_stores_no_key_of_other_content(
    artifacts: MemoryArtifacts, victim: ImageValidated, jobs: SqliteJobs
) -> None:
    published = MemoryPublisher()
    tracking = TrackingProcessor(
        RESULT_EVENTS,
        graph=GRAPH,
        jobs=jobs,
        artifacts=artifacts,
        publisher=published,
        metrics=StageMetrics(),
    )
    thumbnail = Thumbnail(width=1, height=1, key=PRIVATE)
    about = {"job_id": MINE, "sha256": "0" * 64}
    events = [
        ImageSubmitted(job_id=MINE, source=Source(url="https://example.com/a.jpg")),
        victim.model_copy(update={**about, "original": PRIVATE, "working": PRIVATE}),
        ImageThumbnailed(**about, thumbnails=(thumbnail,), thumbhash="x"),
        ImageAnnotated(**about, key=PRIVATE, width=1, height=1),
    ]
    async with asyncio.timeout(10):
        await tracking.process([record(event) for event in events])
    job = await jobs.get(MINE)
    assert job is not None
    assert PRIVATE not in repr(job)
    assert set(job.stages) == {"validation"}
    view = job_view(job, lambda key, filename="": f"link:{key}")
    assert view.original is not None
    assert view.original.url == f"link:working/{'0' * 64}.jpg"
