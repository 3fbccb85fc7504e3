"""A deleted job leaves a tombstone, which only queries for deleted jobs find."""

from __future__ import annotations

from datetime import timedelta

from storage.jobs.store import Deleted, JobQuery, JobStore, Resubmitted, StageError, StageFailure
from tests.contract.job_stores import NOON, WANTED, completed, found, pages, submitted

LATER = NOON + timedelta(minutes=1)
EVERYTHING = frozenset({"pending", "processing", "completed", "failed", "deleted"})
GARMENT = {"caption": "Navy Dress", "attributes": {"type": {"value": "dress"}}}


def deleted(number: int = 0, run: int = 1) -> Deleted:
    return Deleted(f"job-{number:04}", run, LATER)


async def test_only_id_run_and_time_are_left(store: JobStore) -> None:
    await store.apply(
        [
            submitted(group="album", owner="ann", metadata={"secret": 1}, idempotency_key="k"),
            completed(0, "captioning", result=GARMENT),
        ]
    )
    (job,) = await store.apply([deleted()])
    assert await store.get("job-0000") == job
    assert (job.status, job.run, job.updated_at) == ("deleted", 1, LATER)
    assert (job.source, job.metadata, job.stages, job.wanted) == ({}, {}, {}, ())
    assert (job.owner, job.group, job.error, job.idempotency_key) == (None, None, None, None)


async def test_late_events_of_any_run_leave_it_deleted(store: JobStore) -> None:
    await store.apply([submitted(), deleted()])
    error = StageError("validation", "error", "broken", "It broke")
    late = [
        completed(),
        completed(run=7),
        submitted(metadata={"a": 1}),
        StageFailure("job-0000", 2, NOON, error, WANTED),
        Resubmitted("job-0000", 1, NOON + timedelta(days=1)),
        deleted(run=9),
    ]
    before = await store.get("job-0000")
    assert await store.apply(late) == []
    assert await store.get("job-0000") == before


async def test_a_deletion_may_come_before_the_job(store: JobStore) -> None:
    (tombstone,) = await store.apply([deleted(), submitted(), completed()])
    assert (tombstone.status, tombstone.revision) == ("deleted", 1)
    assert await store.apply([submitted()]) == []


async def test_listings_and_counts_leave_it_out_unless_asked(store: JobStore) -> None:
    await store.apply(
        [
            *(submitted(number, seconds=number, group="album", owner="ann") for number in range(8)),
            *(completed(number, "captioning", result=GARMENT) for number in range(8)),
            *(deleted(number) for number in range(0, 8, 2)),
        ]
    )
    odd = [f"job-{number:04}" for number in (7, 5, 3, 1)]
    for query in ({}, {"group": "album"}, {"owner": "ann"}, {"type": "dress"}, {"text": "navy"}):
        assert await found(store, **query) == odd
        assert await store.count(JobQuery(**query), at_most=100) == 4  # type: ignore[arg-type]
    assert await pages(store, JobQuery(limit=3)) == [odd[:3], odd[3:]]
    even = [f"job-{number:04}" for number in (6, 4, 2, 0)]
    assert await found(store, statuses=frozenset({"deleted"})) == even
    assert await found(store, statuses=frozenset({"deleted"}), text="navy") == []
    assert await found(store, statuses=EVERYTHING) == [*even, *odd]
    assert await store.count(JobQuery(statuses=EVERYTHING), at_most=100) == 8


async def test_a_query_by_write_time_can_include_deletions(store: JobStore) -> None:
    await store.apply([submitted(1), submitted(2)])
    await store.apply([deleted(1)])
    asked = {"statuses": EVERYTHING, "written_after": NOON - timedelta(days=9000)}
    assert await found(store, **asked) == ["job-0001", "job-0002"]
