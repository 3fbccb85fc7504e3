"""Tracking: projects the topics into the job store. The only writer of stage state."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from opentelemetry.trace import INVALID_SPAN, NoOpTracer, Span, Tracer

from agents.runtime.dead_letters import DeadLetterPublisher
from agents.runtime.metrics import StageMetrics
from agents.runtime.own_keys import with_own_keys
from agents.runtime.processor import Publisher
from agents.runtime.retry import RetryPolicy, UnavailableRetry
from agents.runtime.work_item import mark_failed, start_consumer_span
from agents.tracking.erasing import ArtifactEraser
from storage.artifacts.store import ArtifactStore
from storage.errors import StorageError
from storage.jobs import store as states
from storage.jobs.store import Job, JobStore, JobUpdate
from streams.broker.records import Record
from streams.errors import UndecodableEvent, UnknownStage
from streams.events.codec import Decoder, Envelope
from streams.events.models import (
    Event,
    ImageSubmitted,
    JobDeleted,
    JobUpdated,
    StageFailed,
    StageResult,
)
from streams.events.tracing import trace_id_of, traceparent_of
from streams.stages.graph import StageGraph

log = structlog.get_logger()

_ENVELOPE = frozenset(StageResult.model_fields) - {"sha256"}


@dataclass(frozen=True)
class DecodedRecord:
    """A record, its event, and the trace span of storing the event."""

    record: Record
    envelope: Envelope
    span: Span


class TrackingProcessor:
    """Reads submissions, results, failures and deletions in batches, stores each batch in one call,
    and publishes the new state of each job.

    If events are delivered again or in another order, the jobs still get the same states.
    """

    name = "tracking"
    batch = 100
    step_limit_s = 0.0
    last_progress = 0.0

    def __init__(
        self,
        results: Sequence[type[StageResult]],
        *,
        graph: StageGraph,
        jobs: JobStore,
        artifacts: ArtifactStore,
        publisher: Publisher,
        metrics: StageMetrics,
        deleted: Container[str] = frozenset(),
        policy: RetryPolicy | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        models: list[type[Event]] = [ImageSubmitted, StageFailed, JobDeleted, *results]
        self.topics = tuple(model.topic for model in models)
        self._decoder = Decoder(models)
        self._graph = graph
        self._read_by_stages = {node.consumes for node in graph.nodes.values()}
        self._jobs = jobs
        self._deleted = deleted
        self._publisher = publisher
        self._metrics = metrics
        self._tracer = tracer or NoOpTracer()
        self._retry = UnavailableRetry(self.name, policy or RetryPolicy())
        self._dead_letters = DeadLetterPublisher(self.name, publisher, self._retry, metrics)
        self._eraser = ArtifactEraser(jobs, artifacts, graph.artifacts, self._retry)
        metrics.initialise(self.name)

    @property
    def waiting_for(self) -> str | None:
        return self._retry.waiting_for

    async def process(self, records: Sequence[Record]) -> None:
        """Apply the records to their jobs. Return when the job store has the jobs and the broker
        has the jobs' new states."""
        self._metrics.received.labels(self.name).inc(len(records))
        opened = [found for record in records if (found := await self._open(record))]
        with self._metrics.batch(self.name, [each.envelope.time for each in opened]):
            await self._eraser.prepare([each.envelope.event for each in opened])
            jobs = await self._apply(opened)
            jobs += await self._unchanged(opened, {job.job_id for job in jobs})
            await self._publish(opened, jobs)
            await self._erase(opened, jobs)

    async def _erase(self, opened: Sequence[DecodedRecord], jobs: Sequence[Job]) -> None:
        """Erase the artifacts of deleted jobs, and of results that arrived after the deletion."""
        events = [each.envelope.event for each in opened]
        gone = {job.job_id for job in jobs if job.status == "deleted"}
        gone |= {event.job_id for event in events if event.job_id in self._deleted}
        if gone:
            updates = [update_of(each.envelope, self._graph) for each in opened]
            await self._eraser.erase(zip(events, updates, strict=True), gone)

    async def _publish(self, opened: Sequence[DecodedRecord], jobs: Sequence[Job]) -> None:
        """Publish the jobs' new states, each in the trace of the job's last event in the batch."""
        traces = {each.envelope.event.job_id: traceparent_of(each.span) for each in opened}
        updates = [(JobUpdated.of_job(job), traces.get(job.job_id)) for job in jobs]
        await self._retry.until_available(lambda: self._publisher.publish_all(updates))
        for each in opened:
            each.span.end()
        for job in jobs:
            if job.status in states.FINAL:
                log.info(
                    "job_ended",
                    status=job.status,
                    stage=self.name,
                    job_id=job.job_id,
                    run=job.run,
                    trace_id=trace_id_of(traces.get(job.job_id)),
                )

    async def _open(self, record: Record) -> DecodedRecord | None:
        """Decode a record; return None if it is undecodable. If a stage also reads the topic, that
        stage writes the dead letter; otherwise tracking does."""
        try:
            envelope = with_own_keys(self._decoder.decode(record))
        except UndecodableEvent as error:
            if record.topic not in self._read_by_stages:
                await self._dead_letters.publish(record, error, code=error.code)
            return None
        return DecodedRecord(record, envelope, self._begin(record, envelope))

    def _begin(self, record: Record, envelope: Envelope) -> Span:
        """Start the span of a write. The stage that reads an event without a trace starts its
        trace; a span here would start a second trace."""
        if envelope.traceparent is None:
            return INVALID_SPAN
        return start_consumer_span(self._tracer, self.name, record, envelope)

    async def _apply(self, opened: Sequence[DecodedRecord]) -> list[Job]:
        """Store the updates. If the store refuses them, store each alone; a refused event becomes a
        dead letter."""
        try:
            updates = [update_of(each.envelope, self._graph) for each in opened]
            return await self._retry.until_available(lambda: self._jobs.apply(updates))
        except Exception as error:
            jobs = sorted({each.envelope.event.job_id for each in opened})
            log.exception("updates_refused", stage=self.name, jobs=jobs)
            if len(opened) == 1:
                code = "tracking-error"
                await self._dead_letters.publish(opened[0].record, error, code=code)
                mark_failed(opened[0].span, code)
                return []
            return [job for each in opened for job in await self._apply([each])]

    async def _unchanged(self, opened: Sequence[DecodedRecord], changed: set[str]) -> list[Job]:
        """Return the jobs that the stages' events did not change.

        An earlier process has stored these events. It may have been killed before it published the
        jobs' states, so the states are published again.
        """
        again = {
            each.envelope.event.job_id
            for each in opened
            if not isinstance(each.envelope.event, ImageSubmitted)
        }
        jobs = [await self._get(job_id) for job_id in sorted(again - changed)]
        return [job for job in jobs if job is not None]

    async def _get(self, job_id: str) -> Job | None:
        """Return a job; None if there is none, or if its document is unreadable."""
        try:
            return await self._retry.until_available(lambda: self._jobs.get(job_id))
        except StorageError as error:
            log.warning("job_unreadable", stage=self.name, job_id=job_id, reason=str(error))
            return None


def update_of(envelope: Envelope, graph: StageGraph) -> JobUpdate:
    """Return the event's update of its job. Raises `TypeError` for an unknown event."""
    event = envelope.event
    if isinstance(event, ImageSubmitted):
        return _submitted(event, envelope, graph)
    if isinstance(event, JobDeleted):
        return states.Deleted(event.job_id, event.run, envelope.time)
    if isinstance(event, StageFailed):
        return states.StageFailure(
            job_id=event.job_id,
            run=event.run,
            at=envelope.time,
            error=states.StageError(
                event.stage, event.kind, event.code, event.message, event.detail
            ),
            wanted=event.stages,
            blocks=graph.downstream(event.stage),
            lane=event.lane,
            attempts=event.attempts,
            started_at=_started(event.started_at, envelope),
        )
    if not isinstance(event, StageResult):
        raise TypeError(f"tracking does not read {type(event).__name__}")
    return states.StageCompleted(
        job_id=event.job_id,
        run=event.run,
        at=envelope.time,
        stage=graph.emitter(event.topic) or event.topic,
        result=event.model_dump(mode="json", exclude=set(_ENVELOPE)),
        wanted=event.stages,
        lane=event.lane,
        attempts=event.attempts,
        started_at=_started(event.started_at, envelope),
        reused=event.reused,
    )


def _started(at: datetime | None, envelope: Envelope) -> datetime | None:
    """Return the start of a stage; a start after the event becomes the event's time."""
    return None if at is None else min(at, envelope.time)


def _submitted(event: ImageSubmitted, envelope: Envelope, graph: StageGraph) -> states.Submitted:
    try:
        wanted = graph.closure(event.stages)
    except UnknownStage:
        wanted = ("validation",)  # validation rejects the event, so the job fails with this reason
    return states.Submitted.of_event(event, envelope.time, wanted)
