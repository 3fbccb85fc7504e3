"""A small example stage, "sewing", for the tests of the stage processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from opentelemetry.trace import NoOpTracer, Tracer

from agents.runtime.compute import ComputePool
from agents.runtime.metrics import StageMetrics
from agents.runtime.retry import RetryPolicy
from agents.runtime.stage_processor import StageProcessor
from agents.stages.stage import Handle, Stage, one_by_one
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.artifacts.store import ArtifactStore
from streams.broker.records import Record
from streams.events.codec import encode
from streams.events.models import Event, Payload, StageFailed, StageResult
from streams.stages.graph import Node, StageGraph
from tests.publishing import MemoryPublisher

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Cut(StageResult):
    topic: ClassVar[str] = "cloth-cut"


class Sewn(Payload):
    seam: str


class ClothSewn(Sewn, StageResult):
    topic: ClassVar[str] = "cloth-sewn"


GRAPH = StageGraph(
    [
        Node("cutting", "image-submitted", "cloth-cut"),
        Node("sewing", "cloth-cut", "cloth-sewn"),
        Node("ironing", "cloth-cut", "cloth-ironed"),
    ]
)


def cut(number: int, **more: Any) -> Cut:
    return Cut(
        job_id=f"01941f29-7c00-7000-8000-{number:012}",
        **{"sha256": f"{number:064}", "run": 2, "lane": "bulk", **more},
    )


def number_of(event: Any) -> int:
    return int(event.job_id[-12:])


def sew(event: Cut, _: ArtifactStore) -> Sewn:
    return Sewn(seam=f"seam {number_of(event)}")


class Sewing:
    """The stage under test, its calls, and all its published events."""

    def __init__(self, root: Path) -> None:
        self.artifacts = DirectoryArtifacts(
            root, LinkSigner(b"a secret for the tests", "http://localhost")
        )
        self.published = MemoryPublisher()
        self.pool = ComputePool(threads=2)
        self.metrics = StageMetrics()
        self.tracer: Tracer = NoOpTracer()
        self.calls: list[int] = []
        self.stage_facts: dict[str, Any] = {}
        self.deleted: set[str] = set()

    async def process(self, work: Handle, *events: Event | Record) -> list[Event]:
        """Run the stage with the handler ``work`` on the events; return the events it publishes."""

        def counted(given: Sequence[Any], artifacts: ArtifactStore) -> Any:
            self.calls += [number_of(event) for event in given]
            return work(given, artifacts)

        facts: dict[str, Any] = {"version": "1", "consumes": Cut, **self.stage_facts}
        stage = Stage("sewing", emits=ClothSewn, payload=Sewn, handle=counted, **facts)
        processor = StageProcessor(
            stage,
            graph=GRAPH,
            artifacts=self.artifacts,
            publisher=self.published,
            pool=self.pool,
            metrics=self.metrics,
            tracer=self.tracer,
            deleted=self.deleted,
            policy=RetryPolicy(attempts=3, base_s=0.001, cap_s=0.002),
        )
        before = len(self.published.events)
        records = [each if isinstance(each, Record) else record(each) for each in events]
        self.metrics.observe("sewing", lambda: len(records), lambda: processor.waiting_for)
        await processor.process(records)
        assert processor.waiting_for is None
        return self.published.events[before:]

    def metric(self, name: str) -> float | None:
        labels = {"stage": "sewing"}
        return self.metrics.registry.get_sample_value(f"lookstream_stage_{name}", labels)

    @property
    def letters(self) -> list[dict[str, bytes]]:
        return [dict(letter.headers) for letter in self.published.letters]


def record(event: Event, offset: int = 0) -> Record:
    made = encode(event, source="/tests", traceparent=TRACE)
    return Record(made.topic, 0, offset, made.key, made.value, made.headers)


def raising(error: Exception, *culprits: int, times: int = 99) -> Handle:
    """Return a handler that raises ``error`` ``times`` times for each culprit (default: all)."""
    left: dict[int, int] = {}

    def work(event: Cut, artifacts: ArtifactStore) -> Sewn:
        number = number_of(event)
        if (not culprits or number in culprits) and left.setdefault(number, times):
            left[number] -= 1
            raise error
        return sew(event, artifacts)

    return one_by_one(work)


def as_a_whole(work: Handle, error: Exception, culprit: int) -> Handle:
    """Return a handler that raises ``error`` for every batch that contains the culprit."""

    def handle(events: Sequence[Any], artifacts: ArtifactStore) -> Any:
        if culprit in map(number_of, events):
            raise error
        return work(events, artifacts)

    return handle


SEW = one_by_one(sew)


def the_failure(events: Sequence[Event]) -> StageFailed:
    (failure,) = [event for event in events if isinstance(event, StageFailed)]
    return failure
