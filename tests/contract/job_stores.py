"""Updates for job stores, and functions that read their listings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from storage.jobs.store import JobQuery, JobStore, StageCompleted, Submitted
from storage.urls import open_jobs

NOON = datetime(2026, 1, 2, 12, 0, 0, 123457, tzinfo=UTC)
WANTED = ("validation", "captioning")


def submitted(number: int = 0, *, seconds: float = 0, **more: object) -> Submitted:
    fields = {"source": {"url": "http://a/b"}, "wanted": WANTED, **more}
    when = NOON + timedelta(seconds=seconds)
    return Submitted(f"job-{number:04}", 1, when, **fields)  # type: ignore[arg-type]


def completed(
    number: int = 0, stage: str = "validation", run: int = 1, result: object = None
) -> StageCompleted:
    said = {"of": stage} if result is None else result
    return StageCompleted(f"job-{number:04}", run, NOON, stage, said, WANTED)  # type: ignore[arg-type]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[JobStore]:
    store = open_jobs(url)
    try:
        yield store
    finally:
        await store.close()


async def pages(store: JobStore, query: JobQuery) -> list[list[str]]:
    seen = []
    cursor = query.cursor
    while True:
        page = await store.find(JobQuery(**{**vars(query), "cursor": cursor}))
        seen.append([job.job_id for job in page.jobs])
        cursor = page.cursor
        if cursor is None:
            return seen


async def found(store: JobStore, **query: object) -> list[str]:
    return (await pages(store, JobQuery(**query)))[0]  # type: ignore[arg-type]
