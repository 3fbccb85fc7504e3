"""The search for similar jobs: the index is filled on the first search and refreshed on each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from serving import drop_jobs

from gateway.http.problems import Problem
from gateway.search.similar import SimilarJobs
from storage.errors import StoreUnavailable
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import (
    Deleted,
    IdempotencyRecord,
    Job,
    JobPage,
    JobQuery,
    JobUpdate,
    JobVector,
    StageCompleted,
    Submitted,
)
from tests.vectors import along, like

NOW = datetime.now(UTC)
WANTED = ("validation", "classification")


def name(number: int) -> str:
    return f"job-{number:04}"


def classified(number: int, embedding: str, run: int = 1) -> list[JobUpdate]:
    job_id = name(number)
    said = {"top5": [], "model": "net-1", "embedding": embedding}
    return [
        Submitted(job_id, run, NOW, {"url": "u"}, WANTED),
        StageCompleted(job_id, run, NOW, "classification", said, WANTED),
    ]


@dataclass
class Breaking:
    """A job store that fails after ``good_pages`` reads, and records its reads."""

    store: SqliteJobs
    good_pages: int = 1_000_000
    reads: list[tuple[datetime, str]] = field(default_factory=list)

    async def vectors(self, *, after: tuple[datetime, str], limit: int) -> list[JobVector]:
        if self.good_pages == 0:
            raise StoreUnavailable("gone")
        self.good_pages -= 1
        self.reads.append(after)
        return await self.store.vectors(after=after, limit=limit)

    async def get(self, job_id: str) -> Job | None:
        return await self.store.get(job_id)

    async def apply(self, updates: Sequence[JobUpdate]) -> list[Job]:
        return await self.store.apply(updates)

    async def find(self, query: JobQuery) -> JobPage:
        return await self.store.find(query)

    async def count(self, query: JobQuery, *, at_most: int) -> int:
        return await self.store.count(query, at_most=at_most)

    async def claim_idempotency_key(
        self, request: IdempotencyRecord, *, expired: datetime
    ) -> IdempotencyRecord:
        return await self.store.claim_idempotency_key(request, expired=expired)

    async def idempotency_record(self, key: str) -> IdempotencyRecord | None:
        return await self.store.idempotency_record(key)

    async def check(self) -> None:
        await self.store.check()

    async def close(self) -> None:
        await self.store.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Breaking]:
    """Thirty jobs; a higher number is more similar to job 0."""
    store = Breaking(SqliteJobs(tmp_path / "jobs.db"))
    await store.apply(classified(0, along(0)))
    for number in range(1, 30):
        await store.apply(classified(number, like(number / 40)))
    yield store
    await store.close()


async def found(similar: SimilarJobs, store: Breaking, limit: int = 3) -> list[str]:
    job = await store.get(name(0))
    assert job is not None
    return [each.job_id for each, _ in await similar.to(job, limit=limit)]


async def test_the_first_search_reads_all_pages_and_the_next_only_changes(store: Breaking) -> None:
    similar = SimilarJobs(store, page=7)
    assert store.reads == []
    assert await found(similar, store) == [name(29), name(28), name(27)]
    assert len(store.reads) == 5
    await store.apply(classified(50, like(0.99)))
    assert await found(similar, store) == [name(50), name(29), name(28)]
    assert store.reads[5][0] > store.reads[0][0]


async def test_after_an_outage_the_refresh_resumes(store: Breaking) -> None:
    similar = SimilarJobs(store, page=7)
    store.good_pages = 2
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await found(similar, store)
    store.good_pages = 100
    assert await found(similar, store) == [name(29), name(28), name(27)]
    assert len(store.reads) == 5
    assert len({*store.reads}) == 5


async def test_concurrent_searches_share_a_refresh(store: Breaking) -> None:
    similar = SimilarJobs(store, page=7)
    answers = await asyncio.gather(*(found(similar, store) for _ in range(50)))
    assert answers == [[name(29), name(28), name(27)]] * 50
    assert len(store.reads) < 25


async def test_jobs_that_are_missing_in_the_store_are_skipped(
    store: Breaking, tmp_path: Path
) -> None:
    similar = SimilarJobs(store)
    job = await store.get(name(0))
    assert job is not None
    await found(similar, store)
    drop_jobs(tmp_path / "jobs.db")
    await store.apply([*classified(0, along(0)), *classified(7, like(0.2))])
    assert [each.job_id for each, _ in await similar.to(job, limit=30)] == [name(7)]
    await store.apply([Deleted(name(7), 1, NOW)])
    assert await similar.to(job, limit=30) == []


async def test_the_index_is_bounded(store: Breaking) -> None:
    similar = SimilarJobs(store, most=4, page=7)
    assert await found(similar, store, limit=9) == [name(number) for number in (29, 28, 27, 26)]
    await store.apply(classified(3, like(0.01), run=2))
    assert await found(similar, store, limit=9) == [name(29), name(28), name(27), name(3)]


async def test_a_search_works_for_a_job_outside_the_index(store: Breaking) -> None:
    similar = SimilarJobs(store, most=4)
    job = await store.get(name(0))
    assert job is not None
    ((nearest, similarity),) = await similar.to(job, limit=1)
    assert (nearest.job_id, similarity) == (name(29), pytest.approx(29 / 40, abs=0.001))


async def test_a_job_without_a_vector_is_refused(store: Breaking) -> None:
    (job,) = await store.apply([Submitted("new", 1, NOW, {"url": "u"}, WANTED)])
    with pytest.raises(Problem, match="not done yet"):
        await SimilarJobs(store).to(job, limit=3)
