"""What every job store does: SQLite and the MongoDB protocol under one suite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from storage.errors import InvalidCursor, StorageError, StoreUnavailable
from storage.jobs import (
    Job,
    JobQuery,
    JobStore,
    JobUpdate,
    StageCompleted,
    StageError,
    StageGaveUp,
    Submitted,
    Swept,
)
from storage.open import open_jobs
from storage.transition import fold

NOON = datetime(2026, 1, 2, 12, 0, 0, 123457, tzinfo=UTC)
WANTED = ("validation", "captioning")
Open = Callable[[], JobStore]


def submitted(number: int = 0, *, seconds: float = 0, **more: object) -> Submitted:
    fields = {"source": {"url": "http://a/b"}, "wanted": WANTED, **more}
    when = NOON + timedelta(seconds=seconds)
    return Submitted(f"job-{number:04}", 1, when, **fields)  # type: ignore[arg-type]


def completed(number: int = 0, stage: str = "validation", run: int = 1) -> StageCompleted:
    return StageCompleted(f"job-{number:04}", run, NOON, stage, {"of": stage}, WANTED)


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=pytest.mark.real_servers)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/made/jobs.db"
    fresh: str = request.getfixturevalue("ferretdb_server").fresh()
    return fresh


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[JobStore]:
    store = open_jobs(url)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(url: str) -> AsyncIterator[JobStore]:
    async with opened(url) as store:
        yield store


async def pages(store: JobStore, query: JobQuery) -> list[list[str]]:
    seen = []
    cursor = query.cursor
    while True:
        page = await store.find(JobQuery(**{**vars(query), "cursor": cursor}))
        seen.append([job.job_id for job in page.jobs])
        cursor = page.cursor
        if cursor is None:
            return seen


async def skip_where_updates_are_not_atomic(url: str) -> None:
    if not url.startswith("mongodb"):
        return
    async with AsyncMongoClient[dict[str, object]](url) as client:
        if "ferretdbVersion" in await client.admin.command("buildInfo"):
            pytest.skip("FerretDB 1.24 loses concurrent updates by itself, $inc included")


async def found(store: JobStore, **query: object) -> list[str]:
    return (await pages(store, JobQuery(**query)))[0]  # type: ignore[arg-type]


async def test_a_submission_can_be_read_back(store: JobStore) -> None:
    (job,) = await store.apply([submitted(group="album", owner="ann")])
    assert (job.status, job.revision, job.submitted_at) == ("pending", 1, NOON)
    assert await store.get("job-0000") == job
    assert await store.get("job-0001") is None


async def test_everything_in_a_job_survives(store: JobStore, url: str) -> None:
    odd = {
        "a.b": 1,
        "$set": {"$inc": [1, {"x.y": None}]},
        "%2E": "percent",
        "prêt-à-porter 👗": "日本",
        "nested": [[1, 2.5], [], {}, True, None, -(2**53)],
        "long": "x" * 100_000,
        "a\0b": "a\0b",
    }
    error = StageError("captioning", "rejected", "too-dark", "It's dark", "détail\n")
    changed = await store.apply(
        [
            submitted(owner="ann@例", group="g.$%", metadata=odd, idempotency_key="k", force=True),
            StageCompleted(
                "job-0000", 1, NOON, "validation", odd, WANTED, "bulk", 2, NOON, reused=True
            ),
            StageGaveUp("job-0000", 1, NOON, error, WANTED, ("captioning",), "bulk", 3, NOON),
        ]
    )
    async with opened(url) as other:
        job = await other.get("job-0000")
    assert [job] == changed
    assert job is not None
    assert job.metadata == odd
    assert job.stages["validation"].result == odd
    assert (job.stages["captioning"].error, job.error) == (error, error)
    assert job.stages["captioning"].finished_at == NOON


async def test_a_repeated_update_changes_nothing(store: JobStore) -> None:
    error = StageError("captioning", "error", "broken", "It broke")
    updates: list[JobUpdate] = [
        submitted(metadata={"a": [1]}),
        completed(),
        StageGaveUp("job-0000", 1, NOON, error, WANTED),
    ]
    (job,) = await store.apply(updates)
    assert job.revision == 3
    assert await store.apply(updates) == []
    assert await store.apply([updates[2], updates[0]]) == []
    assert await store.get("job-0000") == job


async def test_a_batch_is_folded_in_order_job_by_job(store: JobStore) -> None:
    numbers = range(250)
    changed = await store.apply(
        [
            *(submitted(number) for number in numbers),
            *(completed(number) for number in numbers if number % 2),
            completed(7, "captioning"),
            Swept("job-9999", 1, NOON),
        ]
    )
    assert len(changed) == len({job.job_id for job in changed}) == 250
    statuses = {job.job_id: job.status for job in changed}
    assert statuses["job-0007"] == "completed"
    assert (statuses["job-0008"], statuses["job-0009"]) == ("pending", "processing")
    assert await store.get("job-9999") is None
    again = await store.apply([submitted(8), completed(8), completed(9)])
    assert [job.job_id for job in again] == ["job-0008"]
    assert await store.apply([]) == []


async def test_a_job_that_cannot_be_stored_is_no_outage(store: JobStore) -> None:
    with pytest.raises(StorageError) as failure:
        await store.apply([submitted(metadata={"a": [float("nan")]})])
    assert not isinstance(failure.value, StoreUnavailable)
    assert await store.get("job-0000") is None
    await store.apply([submitted()])


async def test_several_writers_change_many_jobs_at_once(store: JobStore, url: str) -> None:
    """FerretDB hangs when the operations of all commands under way come to 100."""
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


async def test_a_replay_of_all_updates_rebuilds_a_cleared_store(store: JobStore) -> None:
    updates = [submitted(1), completed(1), submitted(2), completed(1, "captioning", run=2)]
    before = await store.apply(updates)
    await store.clear()
    assert await found(store) == []
    assert await store.apply(updates) == before


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


async def test_find_goes_from_the_newest_on(store: JobStore) -> None:
    await store.apply([submitted(number, seconds=number % 5) for number in range(20)])
    ids = await found(store)
    assert ids == sorted(ids, key=lambda job_id: (int(job_id[-2:]) % 5, job_id), reverse=True)
    in_pages = await pages(store, JobQuery(limit=7))
    assert [len(page) for page in in_pages] == [7, 7, 6]
    assert [job_id for page in in_pages for job_id in page] == ids
    assert [len(page) for page in await pages(store, JobQuery(limit=10))] == [10, 10]


async def test_find_filters(store: JobStore) -> None:
    await store.apply(
        [
            submitted(1, owner="ann", group="album"),
            submitted(2, owner="ann", seconds=60),
            submitted(3, owner="bob", group="album"),
            completed(1),
            completed(1, "captioning"),
            completed(2),
        ]
    )
    assert await found(store, owner="ann") == ["job-0002", "job-0001"]
    assert await found(store, group="album") == ["job-0003", "job-0001"]
    assert await found(store, group="album", owner="bob") == ["job-0003"]
    assert await found(store, statuses=frozenset({"completed"})) == ["job-0001"]
    unfinished = frozenset({"pending", "processing"})
    assert await found(store, statuses=unfinished) == ["job-0002", "job-0003"]
    assert await found(store, statuses=frozenset()) == []
    later = NOON + timedelta(seconds=30)
    assert await found(store, statuses=unfinished, updated_before=later) == ["job-0003"]
    assert await found(store, owner="nobody") == []
    assert await pages(store, JobQuery(group="album", limit=1)) == [["job-0003"], ["job-0001"]]


async def test_a_placeholder_is_listed_by_when_it_was_seen(store: JobStore) -> None:
    await store.apply([submitted(1, seconds=-9), completed(2), submitted(3, seconds=9)])
    assert await found(store) == ["job-0003", "job-0002", "job-0001"]
    await store.apply([submitted(2, seconds=-20)])
    assert await found(store) == ["job-0003", "job-0001", "job-0002"]


async def test_paging_shows_nothing_twice_while_jobs_come_in(store: JobStore) -> None:
    await store.apply([submitted(number, seconds=number // 3) for number in range(40)])
    before = await found(store, limit=500)
    seen: list[str] = []
    cursor = None
    for number in range(100, 200):
        page = await store.find(JobQuery(limit=3, cursor=cursor))
        seen += [job.job_id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            break
        await store.apply([submitted(number, seconds=number), completed(number % 40)])
    assert seen == before


@pytest.mark.parametrize("cursor", ["x", "é", "e30", "WzEsMl0", "bnVsbA", "WyJhIl0", "=" * 7])
async def test_a_cursor_of_ones_own_making_is_refused(store: JobStore, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        await store.find(JobQuery(cursor=cursor))


async def test_a_sweep_restarts_the_clock(store: JobStore) -> None:
    await store.apply([submitted()])
    late = NOON + timedelta(minutes=10)
    (job,) = await store.apply([Swept("job-0000", 1, late)])
    assert (job.updated_at, job.status) == (late, "pending")
    assert await found(store, updated_before=late) == []


async def test_a_store_gives_what_the_pure_function_says(store: JobStore) -> None:
    error = StageError("validation", "rejected", "not-an-image", "No image")
    updates: list[JobUpdate] = [
        completed(0, "captioning"),
        StageGaveUp("job-0000", 1, NOON, error, WANTED, ("captioning",)),
        submitted(),
        completed(0, "captioning", run=2),
        completed(0, "validation", run=1),
        Swept("job-0000", 2, NOON + timedelta(hours=1)),
    ]
    for update in updates:
        await store.apply([update])
    expected: Job | None = fold(None, updates)
    assert await store.get("job-0000") == expected


async def test_a_check_says_yes_and_a_closed_store_no(store: JobStore) -> None:
    await store.check()
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.check()
    with pytest.raises(StoreUnavailable):
        await store.apply([submitted()])
