"""A deletion at any moment of validation leaves no artifact behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

import pytest

from agents.downloads.download import download
from agents.inputs.decoding import Decoder
from agents.inputs.fetching import Fetcher
from agents.runtime.metrics import StageMetrics
from agents.stages.stage import Stage
from agents.stages.validation import validation_stage
from agents.tracking.projection import TrackingProcessor
from storage.artifacts import keys
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.erasure import complete_erasure, write_erasure_note
from storage.artifacts.links import LinkSigner
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import Deleted, Job
from streams.events.models import Event, ImageSubmitted, ImageValidated, Source
from streams.stages.graph import StageGraph
from streams.stages.registry import PIPELINE, RESULT_EVENTS
from tests.garments import jpeg, tshirt
from tests.integration.misbehaving_server import Misbehaving, serving
from tests.publishing import MemoryPublisher
from tests.sewing import record

GRAPH = StageGraph(PIPELINE)
PHOTO = jpeg(tshirt())
FETCHER = Fetcher(allowed_networks=[ip_network("127.0.0.0/8")], timeout_s=5)


@dataclass
class Pipeline:
    """Validation, tracking and deletion, called in the order that a test needs."""

    jobs: SqliteJobs
    artifacts: DirectoryArtifacts
    stage: Stage
    tracking: TrackingProcessor

    async def track(self, *events: Event) -> None:
        await self.tracking.process([record(event) for event in events])

    def validate(self, event: ImageSubmitted) -> ImageValidated:
        made = download(event, FETCHER, self.artifacts) if event.source.url else event
        (found,) = self.stage.handle([made], self.artifacts)
        assert not isinstance(found, Exception), found
        return ImageValidated.model_validate({"job_id": event.job_id, **_facts(found)})

    async def job(self, job_id: str) -> Job:
        job = await self.jobs.get(job_id)
        assert job is not None
        return job

    async def delete(self, job: Job) -> None:
        """Delete a job as the gateway does, which has read ``job`` a moment ago."""
        await write_erasure_note(self.artifacts, job)
        await self.jobs.apply([Deleted(job.job_id, job.run, datetime.now(UTC))])
        await complete_erasure(self.jobs, self.artifacts, job.job_id, GRAPH.artifacts)


def _facts(found: object) -> dict[str, object]:
    payload = getattr(found, "payload", found)
    facts: dict[str, object] = payload.model_dump()
    return facts


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(processes=1)
    yield decoder
    decoder.close()


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with serving() as server:
        server.body = PHOTO
        yield server


@pytest.fixture
async def pipeline(tmp_path: Path, decoder: Decoder) -> AsyncIterator[Pipeline]:
    jobs = SqliteJobs(tmp_path / "jobs.sqlite")
    artifacts = DirectoryArtifacts(tmp_path / "artifacts", LinkSigner(b"0123456789abcdef", ""))
    tracking = TrackingProcessor(
        RESULT_EVENTS,
        graph=GRAPH,
        jobs=jobs,
        artifacts=artifacts,
        publisher=MemoryPublisher(),
        metrics=StageMetrics(),
    )
    stage = validation_stage(decoder=decoder)
    yield Pipeline(jobs, artifacts, stage, tracking)
    await jobs.close()


def sources(server: Misbehaving, artifacts: DirectoryArtifacts) -> Sequence[ImageSubmitted]:
    """Return a submission by URL and one by upload."""
    job_id = str(uuid4())
    artifacts.put(keys.incoming(job_id), PHOTO)
    return (
        ImageSubmitted(job_id=str(uuid4()), source=Source(url=server.url("/picture/photo.jpg"))),
        ImageSubmitted(job_id=job_id, source=Source(object=keys.incoming(job_id))),
    )


@pytest.mark.parametrize("uploaded", [False, True], ids=["url", "upload"])
async def test_a_result_between_the_read_and_the_deletion_of_a_job(
    pipeline: Pipeline, server: Misbehaving, uploaded: bool
) -> None:
    event = sources(server, pipeline.artifacts)[uploaded]
    await pipeline.track(event)
    job = await pipeline.job(event.job_id)
    await pipeline.track(pipeline.validate(event))
    await pipeline.delete(job)
    assert _own(pipeline, event) == []


@pytest.mark.parametrize("uploaded", [False, True], ids=["url", "upload"])
async def test_a_deletion_before_the_result_of_validation(
    pipeline: Pipeline, server: Misbehaving, uploaded: bool
) -> None:
    event = sources(server, pipeline.artifacts)[uploaded]
    await pipeline.track(event)
    await pipeline.delete(await pipeline.job(event.job_id))
    if uploaded:  # validation has read the object already
        pipeline.artifacts.put(keys.incoming(event.job_id), PHOTO)
    late = pipeline.validate(event)
    await pipeline.track(late)
    assert _own(pipeline, event) == []


async def test_a_validation_that_never_published_its_result(
    pipeline: Pipeline, server: Misbehaving
) -> None:
    """The worker was killed before it published, and skips the deleted job afterwards."""
    event = sources(server, pipeline.artifacts)[0]
    await pipeline.track(event)
    pipeline.validate(event)
    await pipeline.delete(await pipeline.job(event.job_id))
    assert _own(pipeline, event) == []


async def test_a_photo_of_another_job_stays(pipeline: Pipeline, server: Misbehaving) -> None:
    one, other = sources(server, pipeline.artifacts)
    await pipeline.track(one, other)
    job = await pipeline.job(one.job_id)
    await pipeline.track(pipeline.validate(one), pipeline.validate(other))
    await pipeline.delete(job)
    kept = set(pipeline.artifacts.list())
    sha256 = (await pipeline.job(other.job_id)).stages["validation"].result or {}
    assert {keys.original(sha256["sha256"]), keys.working(sha256["sha256"])} <= kept


def _own(pipeline: Pipeline, event: ImageSubmitted) -> list[str]:
    """Return what is left, except the other submission's upload."""
    left = pipeline.artifacts.list()
    return [key for key in left if not key.startswith("incoming/") or event.job_id in key]
