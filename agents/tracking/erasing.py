"""Erase the artifacts of deleted jobs, and the late results of such jobs."""

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
    """Erases artifacts for tracking. Waits for an unavailable store.

    Never raises: an orphaned object only wastes space, but an exception would stop tracking.
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

    async def note(self, events: Iterable[Event]) -> None:
        """Store a note of each job's artifacts. Call this before the jobs are deleted."""
        for event in events:
            if isinstance(event, JobDeleted):
                await self._try(event.job_id, self._note)

    async def _note(self, job_id: str) -> None:
        job = await self._jobs.get(job_id)
        if job is not None and job.status != "deleted":
            await erasure.prepare(self._artifacts, job)

    async def erase(
        self, changes: Iterable[tuple[Event, JobUpdate]], deleted: Container[str]
    ) -> None:
        """Erase the noted artifacts, and the artifacts of late events of jobs in ``deleted``."""
        for event, update in changes:
            if isinstance(event, JobDeleted):
                await self._try(event.job_id, self._finish)
            elif event.job_id in deleted and isinstance(event, StageResult):
                await self._try(event, self._late)
            elif isinstance(update, Submitted) and event.job_id in deleted:
                await self._try(fold(None, [update]), self._source)

    async def _finish(self, job_id: str) -> None:
        await erasure.finish(self._jobs, self._artifacts, job_id, self._kinds)

    async def _late(self, event: StageResult) -> None:
        await erasure.erase_content(
            self._jobs, self._artifacts, event.sha256, event.job_id, self._kinds
        )

    async def _source(self, job: Job | None) -> None:
        if job is not None:
            await erasure.erase(self._jobs, self._artifacts, job, self._kinds)

    async def _try(self, what: T, erase: Callable[[T], Awaitable[None]]) -> None:
        try:
            await self._retry.until_available(lambda: erase(what))
        except Exception:
            log.exception("erasing_failed", what=repr(what)[:500])
