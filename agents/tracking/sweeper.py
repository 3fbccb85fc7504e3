"""The sweeper: publishes stalled jobs and unfinished deletions again, and empties the quarantine.

A job can be in the job store and not in Kafka: the embedded broker loses its records on exit, and
a gateway can die between storing and publishing. Submitting twice is harmless, because results are
cached by content. Publishing a deletion twice is harmless too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from opentelemetry.trace import NoOpTracer, Tracer

from agents.runtime.processor import Publisher
from agents.runtime.retry import is_unavailable
from agents.tracking.quarantine import QuarantineSweeper
from storage.artifacts import erasure, keys
from storage.artifacts.erasure import content_hash
from storage.artifacts.store import ArtifactStore
from storage.errors import StorageError
from storage.jobs.store import Job, JobQuery, JobStore, Resubmitted
from streams.events.models import ImageSubmitted, JobDeleted, Source
from streams.events.tracing import start_traces

log = structlog.get_logger()

COUNTED_JOBS = 100_000


class Sweeper:
    """Publishes unfinished jobs without a change for ``after_s`` seconds again.

    The delay doubles with each resubmission of a job. Otherwise a long queue would grow longer: the
    jobs in a queue do not change while they wait for the jobs before them.
    """

    def __init__(
        self,
        jobs: JobStore,
        artifacts: ArtifactStore,
        publisher: Publisher,
        *,
        after_s: float,
        quarantine: QuarantineSweeper | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._publisher = publisher
        self._tracer = tracer or NoOpTracer()
        self._after = timedelta(seconds=after_s)
        self._quarantine = quarantine
        self._times: Counter[str] = Counter()

    async def run(self, *, at_start_s: float, now: Callable[[], datetime] | None = None) -> None:
        """Sweep without end, every quarter of ``after_s``. The first sweep takes the jobs without a
        change for ``at_start_s`` seconds, the later sweeps those without a change for ``after_s``.
        """
        now = now or (lambda: datetime.now(UTC))
        age = timedelta(seconds=at_start_s)
        while True:
            try:
                await self.sweep(before=now() - age, at=now())
                await self.republish_deletions(before=now() - self._after)
                if self._quarantine:
                    await self._quarantine.sweep_if_due(now())
                age = self._after
            except Exception as error:
                if is_unavailable(error):
                    log.warning("sweep_postponed", reason=str(error))
                else:  # an unreadable object must not end the sweeper
                    log.exception("sweep_failed")
            await asyncio.sleep(self._after.total_seconds() / 4)

    async def sweep(self, *, before: datetime, at: datetime) -> int:
        """Resubmit the unfinished jobs without a change since ``before``; return their number."""
        count = 0
        cursor: str | None = None
        while True:
            page = await self._jobs.find(
                JobQuery(
                    statuses=frozenset({"pending", "processing"}),
                    updated_before=before,
                    cursor=cursor,
                    limit=100,
                )
            )
            due = [job for job in page.jobs if job.source and self._due(job, at)]
            again = [event for job in due if (event := _submittable(job))]
            again = await self._publish(again)
            await self._jobs.apply([Resubmitted(event.job_id, event.run, at) for event in again])
            self._times.update(event.job_id for event in again)
            count += len(again)
            cursor = page.cursor
            if cursor is None:
                break
        if count:
            log.info("jobs_resubmitted", jobs=count)
        if len(self._times) > COUNTED_JOBS:
            self._times.clear()
        return count

    async def republish_deletions(self, *, before: datetime) -> int:
        """Publish `job-deleted` again for each deleted job with an erasure note older than
        ``before``; return the number of events."""
        found = await asyncio.to_thread(erasure.pending_erasures, self._artifacts, before)
        jobs = [await self._readable(job_id) for job_id in found]
        events = [JobDeleted(job_id=job.job_id, run=job.run)
                  for job in jobs if job and job.status == "deleted"]  # fmt: skip
        await self._publisher.publish_all([(event, None) for event in events])
        if events:
            log.info("deletions_republished", jobs=len(events))
        return len(events)

    async def _publish(self, events: Sequence[ImageSubmitted]) -> list[ImageSubmitted]:
        """Publish the submissions and return them, without those that cannot be published."""
        try:
            with start_traces(self._tracer, "sweep", events) as traced:
                await self._publisher.publish_all(traced)
        except Exception as error:
            if is_unavailable(error):
                raise
            if len(events) > 1:
                return [each for event in events for each in await self._publish([event])]
            reason = str(error)[:500]
            log.warning("resubmission_failed", job_id=events[0].job_id, reason=reason)
            return []
        return list(events)

    async def _readable(self, job_id: str) -> Job | None:
        try:
            return await self._jobs.get(job_id)
        except StorageError as error:
            if is_unavailable(error):
                raise
            log.warning("job_unreadable", job_id=job_id, reason=str(error))
            return None

    def _due(self, job: Job, at: datetime) -> bool:
        times = self._times.get(job.job_id, 0)
        return not times or at - job.updated_at >= self._after * 2.0 ** min(times, 20)


def _submittable(job: Job) -> ImageSubmitted | None:
    try:
        return resubmission(job)
    except (ValueError, TypeError) as error:  # an invalid document must not stop the others
        log.warning("resubmission_failed", job_id=job.job_id, reason=str(error))
        return None


def resubmission(job: Job) -> ImageSubmitted:
    """Return the submission that starts the job's current run again. If validation is completed,
    the source is the stored original. But in the first run of a URL, the URL is fetched again."""
    validated = job.stages.get("validation")
    source = Source(**job.source)
    sha256 = content_hash(job)
    if sha256 and validated and validated.status == "completed" and (source.object or job.run > 1):
        source = Source(object=keys.original(sha256))
    return ImageSubmitted.of_job(job, source=source)
