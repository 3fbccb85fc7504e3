"""Which jobs' photos are like one job's photo: an index of vectors, and keeping it fresh.

The index is filled from the job store when somebody asks for the first time, and each time after
that it takes over what was written since. So nothing is kept for whoever never asks, and an answer
knows all that was in the store when it was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from gateway.http.problems import Problem
from gateway.live.live_jobs import OVERLAP
from gateway.views.jobs import payload
from storage.jobs.store import Job, JobStore, JobVector
from streams.events.models import Classified, Validated

if TYPE_CHECKING:
    from gateway.search.vector_index import Neighbour, VectorIndex

MOST = 100_000  # vectors in memory; of more jobs, those that were written last are compared
PAGE = 500  # jobs read at a time, so that others get at the store in between
AT_ONCE = 20  # jobs read side by side
TRIES = 3

START = datetime.fromtimestamp(0, UTC), ""

Similar = tuple[Job, float]


class SimilarJobs:
    """Finds the jobs whose photos are most alike."""

    def __init__(self, jobs: JobStore, *, most: int = MOST, page: int = PAGE) -> None:
        self._jobs = jobs
        self._most = most
        self._page = page
        self._index: VectorIndex | None = None
        self._after = START
        self._begun: datetime | None = None  # while what was written is being read
        self._fresh_at = -1.0
        self._turn = asyncio.Lock()

    async def to(self, job: Job, *, limit: int, group: str | None = None) -> list[Similar]:
        """Return the jobs and how alike their photos are, -1 to 1, at most ``limit``, the best
        first: never ``job`` itself, and of several jobs with one photo, one.

        Compared is what the same model made. Raises `Problem` when ``job`` has no vector, and
        `StoreUnavailable`.
        """
        asked = vector_of(job)
        if asked is None:
            raise Problem("no-embedding", _why_none(job))
        found: list[Similar] = []
        for _ in range(TRIES):
            nearest = await self._nearest(asked, limit, group)
            jobs = await self._living(nearest)
            found = [(jobs[one.job_id], one.similarity) for one in nearest if one.job_id in jobs]
            if len(found) == len(nearest):
                break
            await self._forget([one.job_id for one in nearest if one.job_id not in jobs])
        return found

    async def _nearest(self, asked: JobVector, limit: int, group: str | None) -> list[Neighbour]:
        since = monotonic()
        async with self._turn:
            index = self._index or await self._made()
            if self._fresh_at < since:  # and nobody who waited with us has been at it since
                began = monotonic()
                await self._catch_up(index)
                self._fresh_at = began
            return await asyncio.to_thread(index.nearest, asked, group=group, limit=limit)

    async def _made(self) -> VectorIndex:
        """Return the index, empty. It loads numpy: a gateway that is never asked does without."""

        def make() -> VectorIndex:
            from gateway.search.vector_index import VectorIndex

            return VectorIndex(self._most)

        self._index = await asyncio.to_thread(make)
        return self._index

    async def _catch_up(self, index: VectorIndex) -> None:
        """Take over what was written since the last time, or go on where that was cut short.

        The next time begins a little before this one, as for what is told live: what was written
        by a clock that is late, or is being written now, is not there yet.
        """
        self._begun = self._begun or datetime.now(UTC)
        more = True
        while more:
            written = await self._jobs.vectors(after=self._after, limit=self._page)
            await asyncio.to_thread(index.write, written)
            if more := len(written) == self._page:
                self._after = written[-1].written_at, written[-1].job_id
        self._after = self._begun - OVERLAP, ""
        self._begun = None

    async def _living(self, found: Sequence[Neighbour]) -> dict[str, Job]:
        """Return the jobs that are still there."""
        jobs: dict[str, Job] = {}
        for start in range(0, len(found), AT_ONCE):
            ids = [each.job_id for each in found[start : start + AT_ONCE]]
            read = await asyncio.gather(*(self._jobs.get(job_id) for job_id in ids))
            jobs |= {job.job_id: job for job in read if job and job.status != "deleted"}
        return jobs

    async def _forget(self, job_ids: Sequence[str]) -> None:
        if self._index is not None:
            await asyncio.to_thread(self._index.forget, job_ids)


def vector_of(job: Job) -> JobVector | None:
    """Return what the job's photo is compared by; None where it has nothing of that kind."""
    classified = payload(job, "classification", Classified)
    if classified is None or classified.embedding is None:
        return None
    validated = payload(job, "validation", Validated)
    return JobVector(
        job_id=job.job_id,
        written_at=job.updated_at,
        group=job.group,
        sha256=validated.sha256 if validated else None,
        model=classified.model,
        embedding=classified.embedding,
    )


def _why_none(job: Job) -> str:
    state = job.stages.get("classification")
    if "classification" not in job.wanted and state is None:
        return "classification was not wanted of this job; run it, and ask again"
    if state is None or state.status == "pending":
        return "classification is not done yet; ask again"
    if state.result is None:
        return f"classification is {state.status}"
    return "the model of its classification makes no vectors; run it again"
