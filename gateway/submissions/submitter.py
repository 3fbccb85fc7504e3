"""Make jobs of photos: store, record, publish, in this order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio
import anyio.to_thread
import structlog
import uuid_utils
from starlette.concurrency import run_in_threadpool

from gateway.deps import GatewayDeps
from gateway.http.metrics import Metrics
from gateway.http.problems import Problem
from gateway.submissions.body import Submission
from gateway.submissions.idempotency import KEPT, fingerprint, job_id
from gateway.submissions.photos import Photo, Upload
from storage.artifacts import keys
from storage.artifacts.erasure import erase_job
from storage.jobs.store import Deleted, IdempotencyRecord, Job, Submitted
from streams.errors import BrokerUnavailable, EventTooLarge
from streams.events.models import Event, ImageSubmitted, Source

# Record submissions and publish them, in this order.
log = structlog.get_logger(__name__)

PUBLISH_WITHIN_S = 5.0


@dataclass(frozen=True)
class SubmissionPublisher:
    """Tells the job store, then Kafka. Kafka being away is no reason to refuse: what is recorded
    and not published is what the sweeper looks for."""

    deps: GatewayDeps
    metrics: Metrics

    async def record(self, submissions: Sequence[Submitted]) -> list[Job]:
        """Record submissions; return the jobs that are new, or changed by it."""
        return await self.deps.jobs.apply(submissions) if submissions else []

    async def publish(self, events: Sequence[Event], traceparent: str | None = None) -> bool:
        """Publish events; return False where Kafka is away. Raises `EventTooLarge`."""
        try:
            async with asyncio.timeout(PUBLISH_WITHIN_S):
                await self.deps.publisher.publish_all([(event, traceparent) for event in events])
        except (BrokerUnavailable, TimeoutError) as error:
            log.warning(
                "submission_not_published",
                topics=sorted({event.topic for event in events}),
                jobs=[event.job_id for event in events],
                reason=str(error) or "no acknowledgement in time",
            )
            return False
        return True

    async def submit(
        self, events: Sequence[ImageSubmitted], at: datetime, traceparent: str | None = None
    ) -> None:
        """Record and publish new jobs. Raises `EventTooLarge`, and then none of them is left."""
        jobs = await self.record([submitted(event, at) for event in events])
        try:
            if not await self.publish(events, traceparent):
                self.metrics.unpublished(len(events))
        except EventTooLarge:
            await self.deps.jobs.apply([Deleted(job.job_id, job.run, at) for job in jobs])
            for job in jobs:
                await erase_job(self.deps.jobs, self.deps.artifacts, job, self.deps.graph.artifacts)
            raise


def submitted(event: ImageSubmitted, at: datetime) -> Submitted:
    """Return what the job store keeps of a submission; its stages are all that it wants."""
    return Submitted.of_event(event, at, event.stages)


PARALLEL = 8
THREADS = 16
"""Threads that store photos. Eight saturate a local directory; the others serve remote stores."""


@dataclass(frozen=True)
class Accepted:
    """Each photo's job id, or what is wrong with it, in order; ``replayed`` when the same request
    was answered before."""

    entries: Sequence[str | Problem]
    replayed: bool = False


@dataclass(frozen=True)
class Submitter:
    """Accepts photos: what it returns a job id for will be processed, whatever dies next.

    The order makes it so. An object without a record is litter in quarantine that nobody was
    promised anything about; a record without an object cannot be; a record without an event is
    what the sweeper looks for and publishes. So from the record on the photo is accepted, and
    Kafka being away is no reason to refuse it: the job waits as ``pending``. A caller who was
    refused would hand it over again, and then there would be two jobs.
    """

    deps: GatewayDeps
    metrics: Metrics
    uploads: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(THREADS))

    async def accept(
        self, submission: Submission, *, key: str | None = None, traceparent: str | None = None
    ) -> Accepted:
        """Make a job of every photo that can be one; ``key`` is an idempotency key.

        Raises `UnknownStage`, `Problem` when the key was used for another request, and
        `StoreUnavailable` when a store is out of reach: no photo is accepted then.
        """
        wanted = self.deps.graph.closure(submission.options.names)
        kept, replayed = await self._keep(submission, key)
        entries: list[tuple[str, Photo] | Problem] = [
            photo if isinstance(photo, Problem) else (_job_id(key, kept.at, index), photo)
            for index, photo in enumerate(submission.photos)
        ]
        taken = [entry for entry in entries if not isinstance(entry, Problem)]
        new = await self._unknown(taken) if replayed else taken
        sources = await self._store(new)
        events = [
            _event(job_id, source, wanted, submission, key)
            for (job_id, _), source in zip(new, sources, strict=True)
        ]
        if events:
            await SubmissionPublisher(self.deps, self.metrics).submit(events, kept.at, traceparent)
        if not replayed:
            self._count(entries)
        told = [entry if isinstance(entry, Problem) else entry[0] for entry in entries]
        return Accepted(told, replayed)

    async def _keep(
        self, submission: Submission, key: str | None
    ) -> tuple[IdempotencyRecord, bool]:
        """Return the request as it was kept first, and whether that was an earlier one."""
        now = datetime.now(UTC)
        if key is None or all(isinstance(photo, Problem) for photo in submission.photos):
            return IdempotencyRecord("", "", now), False
        asked = IdempotencyRecord(key, await run_in_threadpool(fingerprint, submission), now)
        kept = await self.deps.jobs.claim_idempotency_key(asked, expired=now - KEPT)
        if kept.fingerprint != asked.fingerprint:
            raise Problem("idempotency-conflict", "take a new key for a new request")
        return kept, kept != asked

    async def _unknown(self, taken: Sequence[tuple[str, Photo]]) -> list[tuple[str, Photo]]:
        """Return what an earlier try of the same request did not come to record."""
        jobs = [await self.deps.jobs.get(job_id) for job_id, _ in taken]
        return [entry for entry, job in zip(taken, jobs, strict=True) if job is None]

    async def _store(self, taken: Sequence[tuple[str, Photo]]) -> list[Source]:
        turns = asyncio.Semaphore(PARALLEL)

        async def store(job_id: str, photo: Photo) -> Source:
            if not isinstance(photo, Upload):
                return Source(url=photo.url)
            key = keys.incoming(job_id)
            async with turns:
                await anyio.to_thread.run_sync(
                    self.deps.artifacts.put, key, photo.file, limiter=self.uploads
                )
            return Source(object=key)

        if len(taken) == 1:
            return [await store(*taken[0])]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(store(*entry)) for entry in taken]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    def _count(self, entries: Sequence[object]) -> None:
        for entry in entries:
            if isinstance(entry, Problem):
                self.metrics.rejected(entry.code)
            else:
                self.metrics.accepted(1)


def _job_id(key: str | None, at: datetime, index: int) -> str:
    return str(uuid_utils.uuid7()) if key is None else job_id(key, at, index)


def _event(
    job_id: str, source: Source, wanted: tuple[str, ...], submission: Submission, key: str | None
) -> ImageSubmitted:
    options = submission.options
    return ImageSubmitted(
        job_id=job_id,
        source=source,
        group=options.group,
        stages=wanted,
        metadata=options.metadata,
        lane=options.lane,
        idempotency_key=key,
        force=options.force,
    )
