"""Job stores return vectors in the order of writing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from storage.jobs.store import Deleted, JobStore, JobUpdate, JobVector
from tests.contract.job_stores import NOON, completed, submitted

FIRST = (datetime.fromtimestamp(0, UTC), "")


def classified(number: int, embedding: object = "AAEC", **more: object) -> list[JobUpdate]:
    said = {"top5": [], "model": "net-1", "embedding": embedding}
    return [
        submitted(number, **more),
        completed(number, "validation", result={"sha256": f"{number:064x}"}),
        completed(number, "classification", result=said),
    ]


async def in_pages(
    store: JobStore, limit: int, after: tuple[datetime, str] = FIRST
) -> list[JobVector]:
    seen: list[JobVector] = []
    while page := await store.vectors(after=after, limit=limit):
        assert len(page) <= limit
        seen += page
        after = page[-1].written_at, page[-1].job_id
    return seen


async def test_a_job_has_what_its_photo_is_compared_by(store: JobStore) -> None:
    before = datetime.now(UTC)
    await store.apply(classified(1, group="album"))
    (found,) = await store.vectors(after=FIRST, limit=10)
    assert before <= found.written_at <= datetime.now(UTC)
    assert found == JobVector("job-0001", found.written_at, "album", f"{1:064x}", "net-1", "AAEC")


async def test_a_job_without_a_vector_is_there_as_well(store: JobStore) -> None:
    await store.apply([submitted(1)])
    await store.apply(classified(2, embedding=None))
    await store.apply([completed(3, "classification", result={"embedding": [1, 2], "model": 7})])
    (one, other, odd) = await store.vectors(after=FIRST, limit=10)
    assert (one.job_id, one.sha256, one.model, one.embedding) == ("job-0001", None, None, None)
    assert (other.job_id, other.model, other.embedding) == ("job-0002", "net-1", None)
    assert (odd.job_id, odd.model, odd.embedding) == ("job-0003", None, None)


async def test_a_deleted_job_has_lost_it(store: JobStore) -> None:
    await store.apply(classified(1, group="album"))
    await store.apply([Deleted("job-0001", 1, NOON)])
    (found,) = await store.vectors(after=FIRST, limit=10)
    assert found == JobVector("job-0001", found.written_at)


async def test_pages_have_every_job_once_also_those_of_one_moment(store: JobStore) -> None:
    updates = [update for number in range(23) for update in classified(number)]
    await store.apply(updates[:30])
    await store.apply(updates[30:])
    for limit in (1, 7, 23, 50):
        found = await in_pages(store, limit)
        assert [each.job_id for each in found] == [f"job-{number:04}" for number in range(23)]
    assert found == sorted(found, key=lambda each: (each.written_at, each.job_id))


async def test_what_is_written_again_comes_again(store: JobStore) -> None:
    await store.apply([update for number in range(3) for update in classified(number)])
    *_, last = await in_pages(store, 2)
    place = last.written_at, last.job_id
    assert await store.vectors(after=place, limit=9) == []
    await store.apply([completed(1, "classification", run=2, result={"embedding": "AwQF"})])
    (again,) = await store.vectors(after=place, limit=9)
    assert (again.job_id, again.embedding) == ("job-0001", "AwQF")
    later = again.written_at + timedelta(microseconds=1)
    assert await store.vectors(after=(later, ""), limit=9) == []
    assert await store.vectors(after=(again.written_at, ""), limit=9) == [again]
