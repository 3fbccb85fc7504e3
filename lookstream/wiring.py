"""The composition root: the only place that builds real objects out of settings."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookstream.errors import CannotStart
from lookstream.settings import Settings
from lookstream.telemetry import Telemetry
from storage.open import open_artifacts, open_jobs, redact
from storage.signing import LinkSigner
from streams.asyncapi import asyncapi
from streams.broker_url import BrokerUrl
from streams.deletions import DeletedJobs
from streams.events import EVENTS, RESULT_EVENTS, Event
from streams.graph import PIPELINE, StageGraph
from streams.history import TopicHistory
from streams.producer import EventProducer
from streams.topics import OBJECT_CREATED, Topic, plan

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.trace import Tracer

    from agents.compute import ComputePool
    from agents.decoding import Decoder
    from agents.metrics import StageMetrics
    from agents.predictions import SharedPredictions
    from agents.processor import Loading, Processor
    from agents.stage import Stage
    from agents.sweeper import Sweeper
    from agents.worker import Worker
    from storage.minio import MinioArtifacts


TRACKING = "tracking"
INTAKE = "intake"
NOTIFIED = "arn:minio:sqs::LOOKSTREAM:kafka"
"""MinIO's name of the target that its ``MINIO_NOTIFY_KAFKA_…_LOOKSTREAM`` settings describe."""


def resolved(settings: Settings) -> Settings:
    """Return the settings with every store's address: unset ones lie in the data directory."""
    home = settings.home.absolute()
    # Port 0 is one that nobody has taken yet, and no address.
    own_url = f"http://{settings.host}:{settings.port}" if settings.port else ""
    return settings.model_copy(
        update={
            "artifacts": settings.artifacts or f"file://{home / 'artifacts'}",
            "jobs": settings.jobs or f"sqlite://{home / 'jobs.sqlite'}",
            "public_url": settings.public_url or own_url,
        }
    )


def extra_stages(settings: Settings) -> list[Stage]:
    """Import the stages that ``LOOKSTREAM_STAGES`` names as ``module:attribute``."""
    stages: list[Stage] = []
    for name in filter(None, settings.stages.split(",")):
        module, _, attribute = name.strip().partition(":")
        found = getattr(import_module(module), attribute)
        stages.append(found() if callable(found) else found)
    return stages


def stage_graph(settings: Settings) -> StageGraph:
    """Return the graph of all stages, without loading any network."""
    return StageGraph([*PIPELINE, *(stage.node for stage in extra_stages(settings))])


def topic_plan(settings: Settings) -> list[Topic]:
    """Return the topics that the system needs."""
    emitted = [node.emits for node in stage_graph(settings).nodes.values()]
    notified = [Topic(OBJECT_CREATED, settings.partitions)] if settings.notifications else []
    return [*plan(emitted, settings.partitions, settings.retention_days), *notified]


def models(settings: Settings) -> list[type[Event]]:
    """Return all events that travel through this installation."""
    return [*EVENTS, *(stage.emits for stage in extra_stages(settings))]


def events_document(settings: Settings) -> dict[str, Any]:
    """Return the AsyncAPI document of the events that travel through this installation."""
    broker = BrokerUrl.parse(settings.kafka).bootstrap
    topics = topic_plan(settings)
    return asyncapi(models(settings), topics, broker=broker, version=version("lookstream"))


def link_signer(settings: Settings) -> LinkSigner:
    """Return the signer of artifact links; without a set secret, with one kept in the data."""
    secret = settings.secret.get_secret_value() or _kept_secret(settings.home / "secret")
    return LinkSigner(secret.encode(), settings.public_url)


def _kept_secret(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    return path.read_text()


def build_gateway(settings: Settings, telemetry: Telemetry | None = None) -> FastAPI:
    """Return the gateway's application over real stores and a real broker."""
    from gateway.app import create_app
    from gateway.deps import Addresses, GatewayDeps
    from gateway.limits import Limits
    from streams.follower import JobFollower

    broker = BrokerUrl.parse(settings.kafka)
    signer = link_signer(settings)
    return create_app(
        GatewayDeps(
            artifacts=open_artifacts(settings.artifacts, signer),
            jobs=open_jobs(settings.jobs),
            publisher=EventProducer(broker, source="/lookstream/gateway"),
            graph=stage_graph(settings),
            signer=signer,
            follower=JobFollower(broker.confluent()),
            addresses=Addresses(
                gateway=settings.public_url,
                kafka=broker.bootstrap,
                artifacts=redact(settings.artifacts),
                jobs=redact(settings.jobs),
            ),
            history=TopicHistory(broker, models(settings)),
            limits=Limits(max_bytes=settings.max_bytes),
            link_expires_s=settings.link_expires_s,
            events=events_document(settings),
            tracers=(telemetry or Telemetry()).provider,
            version=version("lookstream"),
        )
    )


def build_stages(settings: Settings, names: Iterable[str]) -> list[Stage]:
    """Build the named stages, and load only what they need (torch and mediapipe take seconds)."""
    wanted = set(names)
    parts = _Ingredients(settings)
    builtin = [node.name for node in PIPELINE if node.name in wanted]
    extras = [stage for stage in extra_stages(settings) if stage.name in wanted]
    return [*(getattr(parts, name)() for name in builtin), *extras]


class _Ingredients:
    """One method a built-in stage; what several of them share is made once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _decoder(self) -> Decoder:
        from agents.decoding import Decoder

        return Decoder(
            processes=self._settings.threads or os.cpu_count() or 1,
            timeout_s=self._settings.decode_timeout_s,
            max_pixels=self._settings.max_pixels,
        )

    @cached_property
    def _predictions(self) -> SharedPredictions:
        from agents.predictions import SharedPredictions
        from agents.vision.model import GarmentModel

        weights = self._settings.weights
        return SharedPredictions(GarmentModel.load(Path(weights) if weights else None))

    def validation(self) -> Stage:
        from agents.fetching import Fetcher
        from agents.validation import validation_stage

        fetcher = Fetcher(
            allowed_networks=self._settings.allowed_networks,
            max_bytes=self._settings.max_bytes,
            timeout_s=self._settings.url_timeout_s,
        )
        return validation_stage(
            decoder=self._decoder, fetcher=fetcher, max_bytes=self._settings.max_bytes
        )

    def captioning(self) -> Stage:
        from agents.captioning import captioning_stage

        return captioning_stage(predictions=self._predictions)

    def classification(self) -> Stage:
        from agents.classification import classification_stage

        return classification_stage(predictions=self._predictions)

    def pose(self) -> Stage:
        from agents.pose import pose_stage
        from agents.vision.wearer import WearerFinder

        return pose_stage(wearers=WearerFinder())

    def shots(self) -> Stage:
        from agents.pose import VERSION
        from agents.shots import shots_stage

        return shots_stage(decoder=self._decoder, pose_version=VERSION)

    def thumbnailing(self) -> Stage:
        from agents.thumbnailing import thumbnailing_stage

        return thumbnailing_stage(sizes=self._settings.thumbnail_sizes)

    def annotation(self) -> Stage:
        from agents.annotation import annotation_stage

        return annotation_stage(classification_version=self._predictions.model_id)


@dataclass(frozen=True)
class WorkerParts:
    """A worker, and what runs beside it: the sweeper where tracking runs, the follower of
    deletions, and where intake runs `announce`, which has the store tell of uploads.

    The worker can join its groups at once; `load` takes seconds, may run in a thread, and gives
    the processors that `Loading` ones are to become.
    """

    worker: Worker
    loading: Mapping[str, Loading]
    load: Callable[[], list[tuple[Stage, Processor]]]
    sweeper: Sweeper | None
    deleted: DeletedJobs
    announce: Callable[[], None] | None
    pool: ComputePool
    metrics: StageMetrics
    producer: EventProducer


def build_worker(
    settings: Settings, names: Sequence[str], telemetry: Telemetry | None = None
) -> WorkerParts:
    """Build a worker of the named stages, ``tracking`` and ``intake`` among them; all when empty.

    Raises `UnknownStage`, and `CannotStart` for an intake without a store that tells of uploads.
    """
    from agents.batch import TAKE
    from agents.compute import ComputePool
    from agents.metrics import StageMetrics
    from agents.processor import Loading
    from agents.runtime import Reader
    from agents.worker import Worker

    graph = stage_graph(settings)
    wanted = list(names) or [*graph.names, *beside_stages(settings)]
    stages = [name for name in wanted if name not in (TRACKING, INTAKE)]
    graph.closure(stages)
    broker = BrokerUrl.parse(settings.kafka)
    producer = EventProducer(broker, source="/lookstream/agents")
    pool, metrics = ComputePool(settings.threads), StageMetrics()
    tracer = (telemetry or Telemetry()).tracer
    loading = {name: Loading(name, (graph.nodes[name].consumes,), TAKE) for name in stages}
    processors: list[Processor] = list(loading.values())
    deleted, sweeper, announce = DeletedJobs(broker), None, None
    if TRACKING in wanted:
        tracking, sweeper = _tracking(settings, graph, producer, metrics, deleted, tracer)
        processors.append(tracking)
    if INTAKE in wanted:
        intake, announce = _intake(settings, producer, metrics)
        processors.append(intake)
    readers = [Reader(processor, broker) for processor in processors]
    worker = Worker(readers, pool=pool, metrics=metrics)
    load = partial(_load, settings, stages, graph, producer, pool, metrics, deleted, tracer)
    return WorkerParts(
        worker, loading, load, sweeper, deleted, announce, pool, metrics, producer
    )


def beside_stages(settings: Settings) -> list[str]:
    """Return what a whole system runs besides its stages."""
    notified = settings.notifications and settings.artifacts.startswith("s3://")
    return [TRACKING, INTAKE] if notified else [TRACKING]


def _load(
    settings: Settings,
    names: Sequence[str],
    graph: StageGraph,
    producer: EventProducer,
    pool: ComputePool,
    metrics: StageMetrics,
    deleted: DeletedJobs,
    tracer: Tracer,
) -> list[tuple[Stage, Processor]]:
    from agents.batch import StageProcessor

    artifacts = open_artifacts(settings.artifacts, link_signer(settings))

    def processor(stage: Stage) -> Processor:
        return StageProcessor(
            stage,
            graph=graph,
            artifacts=artifacts,
            publisher=producer,
            pool=pool,
            metrics=metrics,
            deleted=deleted,
            tracer=tracer,
        )

    return [(stage, processor(stage)) for stage in build_stages(settings, names)]


def _tracking(
    settings: Settings,
    graph: StageGraph,
    producer: EventProducer,
    metrics: StageMetrics,
    deleted: DeletedJobs,
    tracer: Tracer,
) -> tuple[Processor, Sweeper]:
    from agents.sweeper import Sweeper
    from agents.tracking import TrackingProcessor

    jobs = open_jobs(settings.jobs)
    results = [*RESULT_EVENTS, *(stage.emits for stage in extra_stages(settings))]
    tracking = TrackingProcessor(
        results,
        graph=graph,
        jobs=jobs,
        artifacts=open_artifacts(settings.artifacts, link_signer(settings)),
        publisher=producer,
        metrics=metrics,
        deleted=deleted,
        tracer=tracer,
    )
    return tracking, Sweeper(jobs, producer, after_s=settings.sweep_after_s, tracer=tracer)


def _intake(
    settings: Settings, producer: EventProducer, metrics: StageMetrics
) -> tuple[Processor, Callable[[], None]]:
    from agents.intake import IntakeProcessor

    store = _announcing(settings)
    jobs = open_jobs(settings.jobs)
    intake = IntakeProcessor(store.bucket, jobs=jobs, publisher=producer, metrics=metrics)
    return intake, partial(store.announce, "uploads/", NOTIFIED)


def _announcing(settings: Settings) -> MinioArtifacts:
    from storage.minio import MinioArtifacts

    store = open_artifacts(settings.artifacts, link_signer(settings))
    if not isinstance(store, MinioArtifacts):
        raise CannotStart("intake reads MinIO's notifications; LOOKSTREAM_ARTIFACTS is no s3://…")
    return store
