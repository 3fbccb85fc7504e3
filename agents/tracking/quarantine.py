"""Deletes from the quarantine what no job needs: uploads without a job, and rejected photos."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import structlog

from agents.tracking.notifications import UploadedObject
from storage.artifacts import keys
from storage.artifacts.store import ArtifactInfo, ArtifactStore
from storage.errors import ArtifactNotFound
from storage.jobs.store import Job, JobQuery, JobStore

log = structlog.get_logger()

PAGE = 500
PAUSE_S = 3_600.0
SUSPECTS = 100_000


class QuarantineSweeper:
    """Deletes quarantined objects older than ``after_s`` seconds that no job can still need.

    An object stays while its job waits for validation. An object also stays after an error that the
    photo did not cause, because the job can run again. An object is deleted only if a sweep at
    least an hour earlier (or ``after_s`` seconds, if that is less) already found that no job needs
    it: tracking may have been stopped for days and not know the job yet.
    """

    def __init__(self, jobs: JobStore, artifacts: ArtifactStore, *, after_s: float) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._after = timedelta(seconds=after_s)
        self._pause = timedelta(seconds=min(PAUSE_S, after_s))
        self._suspects: dict[str, datetime] = {}
        self._due: datetime | None = None

    async def sweep_if_due(self, at: datetime) -> int:
        """Sweep unless the last sweep is less than an hour (or ``after_s`` seconds) ago. Return the
        number of deleted objects."""
        if self._due is not None and at < self._due:
            return 0
        deleted = await self.sweep(at=at)
        self._due = at + self._pause
        return deleted

    async def sweep(self, *, at: datetime) -> int:
        """Delete the objects that no job needs now, nor did in an earlier sweep. Return their
        number."""
        old = [info async for info in self._older_than(at - self._after)]
        named = await self._named_by_unfinished_jobs() if old else set()
        suspects = [each for each in old if each.key not in named and await self._is_unneeded(each)]
        due = [each.key for each in suspects if self._is_confirmed(each.key, at)]
        for key in due:
            await asyncio.to_thread(self._artifacts.delete, key)
        gone = set(due)
        left = (each.key for each in suspects if each.key not in gone)
        self._suspects = {key: self._suspects.get(key, at) for key in list(left)[:SUSPECTS]}
        if due:
            log.info("quarantine_swept", objects=len(due))
        return len(due)

    def _is_confirmed(self, key: str, at: datetime) -> bool:
        since = self._suspects.get(key)
        return since is not None and at - since >= self._pause

    async def _older_than(self, before: datetime) -> AsyncIterator[ArtifactInfo]:
        for prefix in keys.QUARANTINE:
            after = ""
            while page := await asyncio.to_thread(self._page, prefix, after):
                after = page[-1]
                for info in await asyncio.to_thread(self._infos, page):
                    if info.modified < before:
                        yield info

    def _page(self, prefix: str, after: str) -> list[str]:
        return self._artifacts.list(prefix, after=after, limit=PAGE)

    def _infos(self, page: list[str]) -> list[ArtifactInfo]:
        found: list[ArtifactInfo] = []
        for key in page:
            try:
                found.append(self._artifacts.stat(key))
            except ArtifactNotFound:  # validation was faster
                continue
        return found

    async def _named_by_unfinished_jobs(self) -> set[str]:
        """Return the object keys of all jobs that wait for validation. Read all such jobs, because
        a producer may choose a key that does not contain the job's id."""
        named: set[str] = set()
        cursor: str | None = None
        while True:
            query = JobQuery(
                statuses=frozenset({"pending", "processing"}), cursor=cursor, limit=PAGE
            )
            page = await self._jobs.find(query)
            named.update(job.source.get("object", "") for job in page.jobs if _waits(job))
            if (cursor := page.cursor) is None:
                return named

    async def _is_unneeded(self, info: ArtifactInfo) -> bool:
        job = await self._jobs.get(_job_id(info))
        return job is None or not (_waits(job) or _can_run_again(job))


def _job_id(info: ArtifactInfo) -> str:
    if info.key.startswith(keys.UPLOADS):
        return UploadedObject(info.key, info.etag).job_id
    return info.key.removeprefix(keys.INCOMING)


def _waits(job: Job) -> bool:
    """Tell whether the job's object is not validated yet."""
    validated = job.stages.get("validation")
    ended = validated is not None and validated.run == job.run
    return job.status in ("pending", "processing") and not ended


def _can_run_again(job: Job) -> bool:
    """Tell whether validation failed by an error, so that the photo itself may be good."""
    error = job.error
    return error is not None and error.stage == "validation" and error.kind == "error"
