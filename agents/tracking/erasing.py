"""Erases the artifacts of deleted jobs, and of results that arrive after a deletion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from typing import TypeVar

import structlog

from agents.runtime.retry import UnavailableRetry
from storage.artifacts import erasure
from storage.artifacts.store import ArtifactStore
from storage.jobs.store import Job, JobStore, JobUpdate, Submitted
from storage.jobs.transition import fold
from streams.events.models import Event, JobDeleted, StageResult

T = TypeVar("T")
log = structlog.get_logger()


class ArtifactEraser:
    """Erases artifacts for tracking. Waits while a store is unavailable; logs all other errors.

    No error is raised: an object that stays behind only wastes space, but an exception would stop
    tracking.
    """

    def __init__(
        self,
        jobs: JobStore,
        artifacts: ArtifactStore,
        kinds: Sequence[str],
        retry: UnavailableRetry,
    ) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._kinds = kinds
        self._retry = retry
        self._unnoted: dict[str, Job] = {}

    async def prepare(self, events: Iterable[Event]) -> None:
        """Write an erasure note for each job that ``events`` delete. Call this before the job store
        deletes the jobs."""
        for event in events:
            if isinstance(event, JobDeleted):
                await self._try(event.job_id, self._prepare)

    async def _prepare(self, job_id: str) -> None:
        job = await self._jobs.get(job_id)
        if job is None or job.status == "deleted":
            return
        if not await erasure.write_erasure_note(self._artifacts, job):
            self._unnoted[job_id] = job

    async def erase(
        self, changes: Iterable[tuple[Event, JobUpdate]], deleted: Container[str]
    ) -> None:
        """Erase the artifacts of each job that ``changes`` delete, and the artifacts of results and
        submissions that arrive for a job in ``deleted``."""
        for event, update in changes:
            if isinstance(event, JobDeleted):
                await self._try(event.job_id, self._finish)
            elif event.job_id in deleted and isinstance(event, StageResult):
                await self._try(event, self._erase_content)
            elif isinstance(update, Submitted) and event.job_id in deleted:
                await self._try(fold(None, [update]), self._erase_source)

    async def _finish(self, job_id: str) -> None:
        if (job := self._unnoted.get(job_id)) is not None:
            await erasure.erase_job(self._jobs, self._artifacts, job, self._kinds)
            del self._unnoted[job_id]
        await erasure.complete_erasure(self._jobs, self._artifacts, job_id, self._kinds)

    async def _erase_content(self, event: StageResult) -> None:
        await erasure.erase_content(
            self._jobs, self._artifacts, event.sha256, event.job_id, self._kinds
        )

    async def _erase_source(self, job: Job | None) -> None:
        if job is not None:
            await erasure.erase_job(self._jobs, self._artifacts, job, self._kinds)

    async def _try(self, target: T, erase: Callable[[T], Awaitable[None]]) -> None:
        try:
            await self._retry.until_available(lambda: erase(target))
        except Exception:
            log.exception("erasing_failed", target=repr(target)[:500])
