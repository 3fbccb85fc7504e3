"""Build a worker from the settings: its stages, and tracking and intake."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lookstream.errors import CannotStart
from lookstream.settings import Settings
from lookstream.telemetry import Telemetry
from lookstream.wiring.captions import check_captions
from lookstream.wiring.gateway import (
    DOWNLOADING,
    INTAKE,
    TRACKING,
    link_signer,
    other_processors,
)
from lookstream.wiring.stages import StageBuilder, custom_stages, stage_graph
from lookstream.wiring.vocabulary import open_vocabulary
from storage.artifacts import keys
from storage.urls import open_artifacts, open_jobs
from streams.broker.connection import BrokerUrl
from streams.broker.producer import EventProducer
from streams.consumers.deletions import DeletedJobs
from streams.stages.graph import StageGraph
from streams.stages.registry import BUILT_IN, RESULT_EVENTS, VALIDATION

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from agents.runtime.compute import ComputePool
    from agents.runtime.metrics import StageMetrics
    from agents.runtime.processor import LoadingProcessor, Processor
    from agents.stages.stage import Stage
    from agents.tracking.sweeper import Sweeper
    from agents.workers.barrier import Barrier
    from agents.workers.worker import Worker
    from storage.artifacts.s3 import MinioArtifacts
    from storage.artifacts.store import ArtifactStore


NOTIFICATION_TARGET = "arn:minio:sqs::LOOKSTREAM:kafka"
"""MinIO's name for the target of its settings ``MINIO_NOTIFY_KAFKA_…_LOOKSTREAM``."""


Loaded = tuple["Stage", "Processor"]


@dataclass(frozen=True)
class WorkerParts:
    """A worker, and the objects that run beside the worker.

    The worker can join its consumer groups at once. ``load`` takes seconds and may run in a thread.
    It returns the processors for the `LoadingProcessor` instances. ``load_anew`` loads the networks
    and the vocabulary again, for the named stages. ``sweeper`` is set if the worker runs tracking.
    ``announce`` is set if the worker runs intake: it makes the store send upload notifications.
    """

    worker: Worker
    loading: Mapping[str, LoadingProcessor]
    load: Callable[[], dict[str, Loaded]]
    load_anew: Callable[[Sequence[str]], dict[str, Loaded]]
    sweeper: Sweeper | None
    deleted: DeletedJobs
    announce: Callable[[], None] | None
    pool: ComputePool
    metrics: StageMetrics
    producer: EventProducer


@dataclass(frozen=True)
class _Shared:
    """The objects that all processors of one worker share."""

    settings: Settings
    graph: StageGraph
    producer: EventProducer
    pool: ComputePool
    metrics: StageMetrics
    deleted: DeletedJobs
    tracer: Tracer
    builder: StageBuilder
    pools: dict[str, ComputePool] = field(default_factory=dict)

    def artifacts(self) -> ArtifactStore:
        return open_artifacts(self.settings.artifacts, link_signer(self.settings))

    def pool_of(self, stage: Stage) -> ComputePool:
        """Return the stage's thread pool: the shared pool, or a pool of its own, created once."""
        from agents.runtime.compute import ComputePool

        if not stage.threads:
            return self.pool
        if stage.name not in self.pools:
            self.pools[stage.name] = ComputePool(stage.threads)
        return self.pools[stage.name]

    def all_pools(self) -> list[ComputePool]:
        return [self.pool, *self.pools.values()]


def check_worker(settings: Settings, stages: Container[str]) -> None:
    """Raise `CannotStart` if a setting or a file that the stages need is missing or wrong."""
    if settings.weights and not Path(settings.weights).is_file():
        raise CannotStart(f"LOOKSTREAM_WEIGHTS: there is no file {settings.weights}")
    if "captioning" in stages:
        check_captions(settings)
    if settings.sandbox_required:
        from agents.inputs.confinement import supported

        check_sandbox(supported().missing)
    open_vocabulary(settings)


def check_sandbox(missing: Sequence[str]) -> None:
    """Raise `CannotStart` if the kernel lacks a means to confine decoders."""
    if missing:
        raise CannotStart(
            f"LOOKSTREAM_SANDBOX_REQUIRED: the kernel does not offer {' and '.join(missing)}"
        )


def build_worker(
    settings: Settings, names: Sequence[str], telemetry: Telemetry | None = None
) -> WorkerParts:
    """Build a worker of the named stages, or of all stages if ``names`` is empty.

    ``names`` may also contain ``downloading``, ``tracking`` and ``intake``. Raises `UnknownStage`,
    and `CannotStart` if the weights file is missing, the vocabulary has unknown words, the captions
    settings are incomplete, the kernel lacks a required sandbox, or intake has a store without
    notifications.
    """
    from agents.runtime.compute import ComputePool
    from agents.runtime.metrics import StageMetrics
    from agents.runtime.processor import LoadingProcessor
    from agents.runtime.stage_processor import BATCH
    from agents.workers.consumer import ProcessorConsumer
    from agents.workers.side_by_side import SideBySideConsumer
    from agents.workers.turns import Turns
    from agents.workers.worker import Worker

    graph = stage_graph(settings)
    wanted = list(names) or [*graph.names, *other_processors(settings)]
    stages = [name for name in wanted if name not in (DOWNLOADING, TRACKING, INTAKE)]
    graph.closure(stages)
    check_worker(settings, stages)
    broker = BrokerUrl.parse(settings.kafka)
    shared = _Shared(
        settings,
        graph,
        producer=EventProducer(broker, source="/lookstream/agents"),
        pool=ComputePool(settings.threads),
        metrics=StageMetrics(),
        deleted=DeletedJobs(broker),
        tracer=(telemetry or Telemetry()).tracer,
        builder=StageBuilder(settings),
    )
    loading = {name: LoadingProcessor(name, graph.nodes[name].topics, BATCH) for name in stages}
    for each in BUILT_IN:
        if each.postpones and each.name in stages:
            loading[each.slow] = LoadingProcessor(each.slow, (each.postpones.topic,), 1)
    processors: list[Processor] = list(loading.values())
    sweeper, announce = None, None
    if TRACKING in wanted:
        tracking, sweeper = _tracking(shared)
        processors.append(tracking)
    if DOWNLOADING in wanted:
        processors.append(_downloading(shared))
    if INTAKE in wanted:
        intake, announce = _intake(shared)
        processors.append(intake)
    turns = Turns()
    kinds = {DOWNLOADING: SideBySideConsumer}
    consumers = [
        kinds.get(each.name, ProcessorConsumer)(
            each, broker, barrier=_barrier(shared, each), turns=turns
        )
        for each in processors
    ]
    return WorkerParts(
        Worker(consumers, pools=shared.all_pools, metrics=shared.metrics),
        loading,
        partial(_load, shared, stages),
        partial(_load_anew, shared),
        sweeper,
        shared.deleted,
        announce,
        shared.pool,
        shared.metrics,
        shared.producer,
    )


def _barrier(shared: _Shared, processor: Processor) -> Barrier:
    from agents.workers.barrier import Barrier

    stages = {each.slow: each.name for each in BUILT_IN} | {DOWNLOADING: VALIDATION.name}
    stages |= {name: name for name in shared.graph.nodes}
    return Barrier(processor, shared.producer, shared.metrics, stage=stages.get(processor.name))


def _load_anew(shared: _Shared, names: Sequence[str]) -> dict[str, Loaded]:
    shared.builder.forget()
    return _load(shared, names)


def _load(shared: _Shared, names: Sequence[str]) -> dict[str, Loaded]:
    from agents.runtime.retry import RetryPolicy
    from agents.runtime.stage_processor import StageProcessor

    artifacts = shared.artifacts()

    def processor(stage: Stage, name: str) -> Processor:
        return StageProcessor(
            stage,
            graph=shared.graph,
            artifacts=artifacts,
            publisher=shared.producer,
            pool=shared.pool_of(stage),
            metrics=shared.metrics,
            deleted=shared.deleted,
            policy=RetryPolicy(attempts=stage.attempts),
            tracer=shared.tracer,
            name=name,
        )

    built = [(stage.name, stage) for stage in shared.builder.build(names)]
    built += [(stage.slow, slow) for _, stage in built if (slow := stage.slow_part())]
    return {name: (stage, processor(stage, name)) for name, stage in built}


def _tracking(shared: _Shared) -> tuple[Processor, Sweeper]:
    from agents.tracking.projection import TrackingProcessor
    from agents.tracking.quarantine import QuarantineSweeper
    from agents.tracking.sweeper import Sweeper

    settings, jobs = shared.settings, open_jobs(shared.settings.jobs)
    artifacts = shared.artifacts()
    results = [*RESULT_EVENTS, *(stage.emits for stage in custom_stages(settings))]
    tracking = TrackingProcessor(
        results,
        graph=shared.graph,
        jobs=jobs,
        artifacts=artifacts,
        publisher=shared.producer,
        metrics=shared.metrics,
        deleted=shared.deleted,
        tracer=shared.tracer,
    )
    quarantine = QuarantineSweeper(jobs, artifacts, after_s=settings.uploads_expire_s)
    sweeper = Sweeper(
        jobs,
        artifacts,
        shared.producer,
        after_s=settings.sweep_after_s,
        quarantine=quarantine,
        tracer=shared.tracer,
    )
    return tracking, sweeper


def _downloading(shared: _Shared) -> Processor:
    from agents.downloads.processor import DownloadProcessor
    from agents.downloads.slots import Slots

    settings = shared.settings
    return DownloadProcessor(
        shared.builder.fetcher,
        graph=shared.graph,
        jobs=open_jobs(settings.jobs),
        artifacts=shared.artifacts(),
        publisher=shared.producer,
        metrics=shared.metrics,
        deleted=shared.deleted,
        slots=Slots(settings.downloads),
        retry_s=settings.url_retry_s,
        tracer=shared.tracer,
    )


def _intake(shared: _Shared) -> tuple[Processor, Callable[[], None]]:
    from agents.tracking.notifications import IntakeProcessor

    store = _notifying_store(shared.artifacts())
    intake = IntakeProcessor(
        store.bucket,
        jobs=open_jobs(shared.settings.jobs),
        publisher=shared.producer,
        metrics=shared.metrics,
    )
    return intake, partial(store.add_notification, keys.UPLOADS, NOTIFICATION_TARGET)


def _notifying_store(store: ArtifactStore) -> MinioArtifacts:
    from storage.artifacts.s3 import MinioArtifacts

    if not isinstance(store, MinioArtifacts):
        raise CannotStart("intake needs notifications from MinIO: set LOOKSTREAM_ARTIFACTS=s3://…")
    return store
