"""Several writers can change the same jobs at once."""

from __future__ import annotations

import asyncio

import pytest
from pymongo import AsyncMongoClient

from storage.errors import StorageError
from storage.jobs.store import JobQuery, JobStore, StageCompleted
from storage.urls import open_jobs
from tests.contract.job_stores import NOON, completed, opened, pages, submitted


async def skip_where_updates_are_not_atomic(url: str) -> None:
    if not url.startswith("mongodb"):
        return
    async with AsyncMongoClient[dict[str, object]](url) as client:
        if "ferretdbVersion" in await client.admin.command("buildInfo"):
            pytest.skip("FerretDB 1.24 loses concurrent updates by itself, $inc included")


async def test_several_writers_change_many_jobs_at_once(store: JobStore, url: str) -> None:
    """FerretDB hangs if the running commands have 100 operations in total."""
    await store.apply([submitted(number) for number in range(120)])
    async with opened(url) as two, opened(url) as three, opened(url) as four:
        changed = await asyncio.gather(
            *(
                writer.apply([completed(number) for number in range(start, 120, 4)])
                for start, writer in enumerate((store, two, three, four))
            )
        )
    assert [len(jobs) for jobs in changed] == [30] * 4
    done = await store.apply([completed(number, "captioning") for number in range(120)])
    assert [job.status for job in done] == ["completed"] * 120


async def test_two_writers_of_one_job_lose_no_update(store: JobStore, url: str) -> None:
    await skip_where_updates_are_not_atomic(url)
    stages = [f"stage-{number}" for number in range(24)]

    async def write(writer: JobStore, own: list[str]) -> None:
        for stage in own:
            wanted = tuple(stages)
            await writer.apply(
                [StageCompleted("job-0000", 1, NOON, stage, {"of": stage}, wanted), submitted(5)]
            )

    async with opened(url) as other, opened(url) as third:
        await asyncio.gather(
            write(store, stages[::3]), write(other, stages[1::3]), write(third, stages[2::3])
        )
    job = await store.get("job-0000")
    assert job is not None
    assert sorted(job.stages) == sorted(stages)
    assert (job.status, job.revision) == ("completed", len(stages))


async def test_two_writers_of_the_same_batch_agree(store: JobStore, url: str) -> None:
    updates = [submitted(number) for number in range(150)]
    async with opened(url) as other:
        await asyncio.gather(store.apply(updates), other.apply(updates[::-1]))
        jobs = [job for page in await pages(other, JobQuery(limit=150)) for job in page]
    assert len(jobs) == 150
    job = await store.get("job-0149")
    assert job is not None
    assert job.revision == 1


async def test_several_processes_may_open_a_new_store_at_once(url: str) -> None:
    stores = [open_jobs(url) for _ in range(6)]
    await asyncio.gather(*(store.check() for store in stores))
    changed = await asyncio.gather(*(store.apply([submitted()]) for store in stores))
    assert sum(map(len, changed)) >= 1
    await asyncio.gather(*(store.close() for store in stores))


async def test_concurrent_callers_get_their_own_jobs(store: JobStore) -> None:
    changed = await asyncio.gather(*(store.apply([submitted(number)]) for number in range(40)))
    told = [[job.job_id for job in jobs] for jobs in changed]
    assert told == [[f"job-{number:04}"] for number in range(40)]
    again = await asyncio.gather(*(store.apply([submitted(number)]) for number in range(40)))
    assert again == [[]] * 40


async def test_a_cancelled_caller_does_not_affect_others(store: JobStore) -> None:
    await store.check()
    calls = [asyncio.create_task(store.apply([submitted(number)])) for number in range(12)]
    await asyncio.sleep(0)
    calls[0].cancel()
    calls[7].cancel()
    done = await asyncio.gather(*calls, return_exceptions=True)
    others = [each for number, each in enumerate(done) if number not in (0, 7)]
    assert [len(each) for each in others if isinstance(each, list)] == [1] * 10
    found = {job.job_id for job in (await store.find(JobQuery())).jobs}
    assert found >= {f"job-{number:04}" for number in range(12) if number not in (0, 7)}


async def test_a_batch_that_is_refused_fails_no_other(store: JobStore) -> None:
    batches = [[submitted(number)] for number in range(12)]
    batches[5] = [submitted(5, metadata={"a": float("nan")})]
    done = await asyncio.gather(*map(store.apply, batches), return_exceptions=True)
    assert isinstance(done[5], StorageError)
    assert [len(each) for each in done if isinstance(each, list)] == [1] * 11
    assert await store.get("job-0005") is None
    assert await store.get("job-0011") is not None
