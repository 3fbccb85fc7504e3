"""Listings of job stores: order, filters, and exact pages."""

from __future__ import annotations

from datetime import timedelta

import pytest

from storage.errors import InvalidCursor
from storage.jobs.store import JobQuery, JobStore
from tests.contract.job_stores import NOON, completed, found, pages, submitted


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
async def test_an_invalid_cursor_is_refused(store: JobStore, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        await store.find(JobQuery(cursor=cursor))
