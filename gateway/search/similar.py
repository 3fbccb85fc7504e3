"""Find jobs with similar photos, in an index of vectors that follows the job store.

The first search fills the index from the job store. Each later search first reads the jobs that
changed since. So a gateway without searches needs no memory for the index, and each answer includes
all jobs that were in the store when the search started.
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

MOST = 100_000  # vectors in memory; with more jobs, the most recently written ones are kept
PAGE = 500  # jobs per read, so that other requests can use the store in between
AT_ONCE = 20  # jobs read concurrently
TRIES = 3

START = datetime.fromtimestamp(0, UTC), ""

Similar = tuple[Job, float]


class SimilarJobs:
    """Finds the jobs with the most similar photos."""

    def __init__(self, jobs: JobStore, *, most: int = MOST, page: int = PAGE) -> None:
        self._jobs = jobs
        self._most = most
        self._page = page
        self._index: VectorIndex | None = None
        self._after = START
        self._refresh_started: datetime | None = None  # start of an unfinished refresh
        self._fresh_at = -1.0
        self._turn = asyncio.Lock()

    async def to(self, job: Job, *, limit: int, group: str | None = None) -> list[Similar]:
        """Return at most ``limit`` jobs with their similarity, -1 to 1, the most similar first.

        ``job`` itself is never returned. Of several jobs with the same photo, one is returned. All
        returned jobs have a vector of the same model as ``job``. Raises `Problem` if ``job`` has no
        vector, and `StoreUnavailable`.
        """
        vector = vector_of(job)
        if vector is None:
            raise Problem("no-embedding", _reason_for_no_vector(job))
        found: list[Similar] = []
        for _ in range(TRIES):
            nearest = await self._nearest(vector, limit, group)
            jobs = await self._existing(nearest)
            found = [(jobs[one.job_id], one.similarity) for one in nearest if one.job_id in jobs]
            if len(found) == len(nearest):
                break
            await self._forget([one.job_id for one in nearest if one.job_id not in jobs])
        return found

    async def _nearest(self, vector: JobVector, limit: int, group: str | None) -> list[Neighbour]:
        since = monotonic()
        async with self._turn:
            index = self._index or await self._create_index()
            if self._fresh_at < since:  # no other search has refreshed the index since
                began = monotonic()
                await self._refresh(index)
                self._fresh_at = began
            return await asyncio.to_thread(index.nearest, vector, group=group, limit=limit)

    async def _create_index(self) -> VectorIndex:
        """Create the empty index. The import loads numpy, so the first search does it."""

        def make() -> VectorIndex:
            from gateway.search.vector_index import VectorIndex

            return VectorIndex(self._most)

        self._index = await asyncio.to_thread(make)
        return self._index

    async def _refresh(self, index: VectorIndex) -> None:
        """Add the jobs that changed since the last refresh, or resume an interrupted refresh.

        The next refresh reads from `OVERLAP` before the start of this refresh. So it finds the
        writes that this refresh misses: writes in progress, and writes by a machine whose clock is
        slow.
        """
        self._refresh_started = self._refresh_started or datetime.now(UTC)
        more = True
        while more:
            written = await self._jobs.vectors(after=self._after, limit=self._page)
            await asyncio.to_thread(index.write, written)
            if more := len(written) == self._page:
                self._after = written[-1].written_at, written[-1].job_id
        self._after = self._refresh_started - OVERLAP, ""
        self._refresh_started = None

    async def _existing(self, found: Sequence[Neighbour]) -> dict[str, Job]:
        """Return the jobs that still exist."""
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
    """Return the vector of the job's photo, or None if there is no vector."""
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


def _reason_for_no_vector(job: Job) -> str:
    state = job.stages.get("classification")
    if "classification" not in job.wanted and state is None:
        return "this job did not request classification; run classification and try again"
    if state is None or state.status == "pending":
        return "classification is not done yet; try again later"
    if state.result is None:
        return f"classification is {state.status}"
    return "the classification model made no vector; run classification again"
