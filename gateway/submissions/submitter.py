"""Make jobs of photos: store the photo, record the job, publish the event, in this order."""

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
from gateway.submissions.backlog import Backlog
from gateway.submissions.body import Submission
from gateway.submissions.idempotency import Key, claim, fingerprint, job_id
from gateway.submissions.options import Options
from gateway.submissions.photos import Photo, Upload
from storage.artifacts import keys
from storage.artifacts.erasure import erase_job
from storage.jobs.store import Deleted, IdempotencyRecord, Job, Submitted
from streams.errors import BrokerUnavailable, EventTooLarge
from streams.events.models import Event, ImageSubmitted, Source

log = structlog.get_logger(__name__)

PUBLISH_WITHIN_S = 5.0


@dataclass(frozen=True)
class SubmissionPublisher:
    """Records jobs, then publishes their events. If Kafka is unavailable, the recorded job is still
    accepted, and the backlog publishes its event when Kafka is back."""

    deps: GatewayDeps
    metrics: Metrics
    backlog: Backlog

    async def record(self, submissions: Sequence[Submitted]) -> list[Job]:
        """Record submissions; return the new and the changed jobs."""
        return await self.deps.jobs.apply(submissions) if submissions else []

    async def publish(self, events: Sequence[Event], traceparent: str | None = None) -> bool:
        """Publish events; return False if Kafka is unavailable: they are published later. Raises
        `EventTooLarge`."""
        traced = [(event, traceparent) for event in events]
        if self.backlog:  # keep the order, and do not wait again for Kafka
            self.backlog.add(traced)
            return False
        try:
            async with asyncio.timeout(PUBLISH_WITHIN_S):
                await self.deps.publisher.publish_all(traced)
        except (BrokerUnavailable, TimeoutError) as error:
            log.warning(
                "submission_not_published",
                topics=sorted({event.topic for event in events}),
                jobs=[event.job_id for event in events],
                reason=str(error) or "no acknowledgement in time",
            )
            self.backlog.add(traced)
            return False
        return True

    async def submit(
        self, events: Sequence[ImageSubmitted], at: datetime, traceparent: str | None = None
    ) -> None:
        """Record and publish new jobs. Raises `EventTooLarge`, and then removes the jobs again."""
        jobs = await self.record([Submitted.of_event(event, at) for event in events])
        try:
            if not await self.publish(events, traceparent):
                self.metrics.unpublished(len(events))
        except EventTooLarge:
            await self.deps.jobs.apply([Deleted(job.job_id, job.run, at) for job in jobs])
            for job in jobs:
                await erase_job(self.deps.jobs, self.deps.artifacts, job, self.deps.graph.artifacts)
            raise


PARALLEL = 8
THREADS = 16
"""Threads that store photos. Eight saturate a local directory; the others serve remote stores."""


@dataclass(frozen=True)
class Accepted:
    """Each photo's job id or problem, in order. ``replayed`` means that the same request was
    answered before."""

    entries: Sequence[str | Problem]
    replayed: bool = False


@dataclass(frozen=True)
class Submitter:
    """Accepts photos. A photo with a job id will be processed, even if a process dies next.

    The order of the steps guarantees this. A stored object without a record is an orphan in
    quarantine; its caller got no job id. A record without an object cannot exist. After a crash,
    the sweeper publishes records without an event. So a recorded photo is accepted even if Kafka is
    unavailable, and its job is ``pending``. A refused caller would submit the photo again and make
    a second job.
    """

    deps: GatewayDeps
    metrics: Metrics
    publisher: SubmissionPublisher
    uploads: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(THREADS))

    async def accept(
        self, submission: Submission, *, key: Key | None = None, traceparent: str | None = None
    ) -> Accepted:
        """Make a job of every photo that can be one; ``key`` is an idempotency key.

        Raises `UnknownStage`, `Problem` if the key was used for another request, and
        `StoreUnavailable`: then no photo is accepted.
        """
        wanted = self.deps.graph.closure(submission.options.names)
        kept, replayed = await self._keep(submission, key)
        entries: list[tuple[str, Photo] | Problem] = [
            photo if isinstance(photo, Problem) else (_job_id(kept, index), photo)
            for index, photo in enumerate(submission.photos)
        ]
        taken = [entry for entry in entries if not isinstance(entry, Problem)]
        new = await self._unknown(taken) if replayed else taken
        sources = await self._store(new)
        events = [
            submission_event(
                job_id,
                source,
                submission.options,
                wanted,
                key.text if key else None,
                photo.filename if isinstance(photo, Upload) else None,
            )
            for (job_id, photo), source in zip(new, sources, strict=True)
        ]
        if events:
            await self.publisher.submit(events, kept.at, traceparent)
        if not replayed:
            self._count(entries)
        told = [entry if isinstance(entry, Problem) else entry[0] for entry in entries]
        return Accepted(told, replayed)

    async def _keep(
        self, submission: Submission, key: Key | None
    ) -> tuple[IdempotencyRecord, bool]:
        """Return the record of the first request with this key, and whether it is an earlier
        request."""
        now = datetime.now(UTC)
        if key is None or all(isinstance(photo, Problem) for photo in submission.photos):
            return IdempotencyRecord("", "", now), False
        content = await run_in_threadpool(fingerprint, submission)
        return await claim(self.deps.jobs, key, content, now)

    async def _unknown(self, taken: Sequence[tuple[str, Photo]]) -> list[tuple[str, Photo]]:
        """Return the photos that an earlier try of the same request did not record."""
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


def _job_id(request: IdempotencyRecord, index: int) -> str:
    return job_id(request.key, request.at, index) if request.key else str(uuid_utils.uuid7())


def submission_event(
    job_id: str,
    source: Source,
    options: Options,
    wanted: tuple[str, ...],
    key: str | None = None,
    filename: str | None = None,
) -> ImageSubmitted:
    """Return a new job's first event. ``wanted`` are the stages with those that they need."""
    return ImageSubmitted(
        job_id=job_id,
        source=source,
        group=options.group,
        stages=wanted,
        metadata=options.metadata,
        lane=options.lane,
        idempotency_key=key,
        force=options.force,
        filename=filename,
    )
