"""The contract of job stores: one suite for SQLite and the MongoDB protocol."""

from __future__ import annotations

from datetime import timedelta

import pytest

from storage.errors import StorageError, StoreUnavailable
from storage.jobs.store import (
    Job,
    JobStore,
    JobUpdate,
    Resubmitted,
    StageCompleted,
    StageError,
    StageFailure,
)
from storage.jobs.transition import fold
from tests.contract.job_stores import NOON, WANTED, completed, found, opened, submitted


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
            StageFailure("job-0000", 1, NOON, error, WANTED, ("captioning",), "bulk", 3, NOON),
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
        StageFailure("job-0000", 1, NOON, error, WANTED),
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
            Resubmitted("job-9999", 1, NOON),
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


async def test_a_job_that_cannot_be_stored_does_not_raise_unavailable(store: JobStore) -> None:
    with pytest.raises(StorageError) as failure:
        await store.apply([submitted(metadata={"a": [float("nan")]})])
    assert not isinstance(failure.value, StoreUnavailable)
    assert await store.get("job-0000") is None
    await store.apply([submitted()])


async def test_a_sweep_restarts_the_clock(store: JobStore) -> None:
    await store.apply([submitted()])
    late = NOON + timedelta(minutes=10)
    (job,) = await store.apply([Resubmitted("job-0000", 1, late)])
    assert (job.updated_at, job.status) == (late, "pending")
    assert await found(store, updated_before=late) == []


async def test_a_store_agrees_with_the_fold(store: JobStore) -> None:
    error = StageError("validation", "rejected", "not-an-image", "No image")
    updates: list[JobUpdate] = [
        completed(0, "captioning"),
        StageFailure("job-0000", 1, NOON, error, WANTED, ("captioning",)),
        submitted(),
        completed(0, "captioning", run=2),
        completed(0, "validation", run=1),
        Resubmitted("job-0000", 2, NOON + timedelta(hours=1)),
    ]
    for update in updates:
        await store.apply([update])
    expected: Job | None = fold(None, updates)
    assert await store.get("job-0000") == expected


async def test_a_check_succeeds_until_the_store_is_closed(store: JobStore) -> None:
    await store.check()
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.check()
    with pytest.raises(StoreUnavailable):
        await store.apply([submitted()])
