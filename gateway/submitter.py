"""Make jobs of photos: store, record, publish, in this order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
import uuid_utils
from starlette.concurrency import run_in_threadpool

from gateway.deps import GatewayDeps
from gateway.intake import Submission
from gateway.metrics import Metrics
from gateway.photos import Photo, Upload
from gateway.problems import Problem
from storage import keys
from storage.jobs import Submitted
from streams.errors import BrokerUnavailable
from streams.events import ImageSubmitted, Source

log = structlog.get_logger(__name__)

PARALLEL_PUTS = 8
PUBLISH_WITHIN_S = 5.0


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

    async def accept(
        self, submission: Submission, traceparent: str | None = None
    ) -> list[str | Problem]:
        """Return each photo's job id, or what is wrong with it, in order.

        Raises `UnknownStage`, and `StoreUnavailable` when a store is out of reach, in which case
        no photo of the submission is accepted.
        """
        wanted = self.deps.graph.closure(submission.stages)
        entries: list[tuple[str, Photo] | Problem] = [
            photo if isinstance(photo, Problem) else (str(uuid_utils.uuid7()), photo)
            for photo in submission.photos
        ]
        taken = [entry for entry in entries if not isinstance(entry, Problem)]
        events = [
            ImageSubmitted(job_id=job_id, source=source, stages=wanted, force=submission.force)
            for (job_id, _), source in zip(taken, await self._store(taken), strict=True)
        ]
        await self._record(events)
        await self._publish(events, traceparent)
        self._count(entries)
        return [entry if isinstance(entry, Problem) else entry[0] for entry in entries]

    async def _store(self, taken: Sequence[tuple[str, Photo]]) -> list[Source]:
        turns = asyncio.Semaphore(PARALLEL_PUTS)

        async def store(job_id: str, photo: Photo) -> Source:
            if not isinstance(photo, Upload):
                return Source(url=photo.url)
            key = keys.incoming(job_id)
            async with turns:
                await run_in_threadpool(self.deps.artifacts.put, key, photo.file)
            return Source(object=key)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(store(*entry)) for entry in taken]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _record(self, events: Sequence[ImageSubmitted]) -> None:
        now = datetime.now(UTC)
        submissions = [
            Submitted(
                job_id=event.job_id,
                run=event.run,
                at=now,
                source=event.source.model_dump(exclude_none=True),
                wanted=event.stages,
                lane=event.lane,
                force=event.force,
            )
            for event in events
        ]
        if submissions:
            await self.deps.jobs.apply(submissions)

    async def _publish(self, events: Sequence[ImageSubmitted], traceparent: str | None) -> None:
        try:
            async with asyncio.timeout(PUBLISH_WITHIN_S):
                await self.deps.publisher.publish_all([(event, traceparent) for event in events])
        except (BrokerUnavailable, TimeoutError) as error:
            self.metrics.unpublished(len(events))
            log.warning(
                "accepted but not published; the sweeper will",
                action="submit",
                jobs=[event.job_id for event in events],
                reason=str(error) or "no acknowledgement in time",
            )

    def _count(self, entries: Sequence[object]) -> None:
        for entry in entries:
            if isinstance(entry, Problem):
                self.metrics.rejected(entry.code)
            else:
                self.metrics.accepted(1)
