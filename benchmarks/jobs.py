"""Query times of a small and a large job store.

    python -m benchmarks.jobs                                 SQLite, 1,000 and 100,000 jobs
    python -m benchmarks.jobs --jobs mongodb://host/ --json   MongoDB, in new databases

Each time is the 95th percentile of 200 calls of the job store (``--times``). A call returns one
page of at most 50 jobs, or one count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import AsyncMongoClient

from benchmarks import wardrobe
from storage.jobs.mongo.schema import to_stored
from storage.jobs.store import JobQuery, JobStore, JobUpdate, group_by_job
from storage.jobs.transition import fold
from storage.urls import open_jobs

BATCH = 500  # jobs per write
NEWS = 50  # jobs written after the time of the ``written_after`` queries
CAP = 10_000  # the highest count that the REST API shows

Measured = Callable[[JobStore], Awaitable[object]]


def main() -> None:
    """Measure, and print a table or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", help="MongoDB URL without a database (SQLite in a new file)")
    parser.add_argument("--sizes", type=int, nargs=2, default=[1000, 100_000], metavar="N")
    parser.add_argument("--times", type=int, default=200, help="runs of each query (200)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    wanted = parser.parse_args()
    figures = asyncio.run(measure(wanted.jobs, wanted.sizes, wanted.times))
    if wanted.json:
        print(json.dumps(figures))
        return
    small, large = (f"p95 ms, {size:,}" for size in wanted.sizes)
    print(f"{'query':28} {small:>16} {large:>16} {'ratio':>6}")
    for name, (one, other, ratio) in figures.items():
        print(f"{name:28} {one:16.2f} {other:16.2f} {ratio:6.2f}")


async def measure(
    server: str | None, sizes: list[int], times: int
) -> dict[str, tuple[float, float, float]]:
    """Return for each query its p95 in milliseconds in both stores, and their ratio.

    The queries alternate between the stores, so that other load on the machine affects both.
    """
    small, large = sizes
    async with _filled(server, small) as one, _filled(server, large) as other:
        figures = {}
        queries = zip(_queries(small, one[1]), _queries(large, other[1]), strict=True)
        for (name, in_small), (_, in_large) in queries:
            _say(name)
            taken: tuple[list[float], list[float]] = ([], [])
            for _ in range(times):
                taken[0].append(await _ms(one[0], in_small))
                taken[1].append(await _ms(other[0], in_large))
            before, after = _p95(taken[0]), _p95(taken[1])
            figures[name] = (round(before, 3), round(after, 3), round(after / before, 2))
        return figures


def _queries(size: int, moment: datetime) -> list[tuple[str, Measured]]:
    middle = wardrobe.START + timedelta(seconds=size // 2)
    group = f"album-{size // wardrobe.GROUP_SIZE // 2}"
    asked = {
        "list": JobQuery(),
        "list from the middle on": JobQuery(submitted_before=middle),
        "status completed": JobQuery(statuses=frozenset({"completed"})),
        "status failed": JobQuery(statuses=frozenset({"failed"})),
        "two statuses": JobQuery(statuses=frozenset({"pending", "processing"})),
        "group": JobQuery(group=group),
        "group and status": JobQuery(group=group, statuses=frozenset({"failed"})),
        "owner": JobQuery(owner="session-1"),
        "type": JobQuery(type=wardrobe.TYPES[0]),
        "colour": JobQuery(colour=wardrobe.COLOURS[3]),
        "label": JobQuery(label=wardrobe.TYPES[2]),
        "type and status": JobQuery(type=wardrobe.TYPES[0], statuses=frozenset({"completed"})),
        "group and type": JobQuery(group=group, type=wardrobe.TYPES[0]),
        "text: a rare word": JobQuery(text="sequinned"),
        "text: a common word": JobQuery(text="women"),
        "text: two common words": JobQuery(text=f"s {wardrobe.COLOURS[0]}"),
        "text: common and rare": JobQuery(text="sequinned women"),
        "text: nothing": JobQuery(text="submarine"),
        "written after": JobQuery(written_after=moment),
        "written after, group": JobQuery(
            written_after=moment, group=f"album-{size // wardrobe.GROUP_SIZE - 1}"
        ),
    }
    counted = {"count": JobQuery(), "count of a status": asked["status completed"]}
    return [
        *((name, _finding(query)) for name, query in asked.items()),
        *((name, _counting(query)) for name, query in counted.items()),
    ]


def _finding(query: JobQuery) -> Measured:
    return lambda store: store.find(query)


def _counting(query: JobQuery) -> Measured:
    return lambda store: store.count(query, at_most=CAP)


async def _ms(store: JobStore, call: Measured) -> float:
    began = time.perf_counter()
    await call(store)
    return (time.perf_counter() - began) * 1000


def _p95(taken: list[float]) -> float:
    return sorted(taken)[min(len(taken) - 1, len(taken) * 95 // 100)]


@asynccontextmanager
async def _filled(server: str | None, size: int) -> AsyncIterator[tuple[JobStore, datetime]]:
    """Yield a store with ``size`` jobs, and the time just before the last `NEWS` were written."""
    with tempfile.TemporaryDirectory() as folder:
        name = f"lookstream_benchmark_{size}"
        url = f"{server.rstrip('/')}/{name}" if server else f"sqlite://{folder}/jobs.db"
        if server:
            await _dropped(url)
        store = open_jobs(url)
        await store.check()
        fill = _written_as_they_are(url) if server else store.apply
        began, moment = time.perf_counter(), datetime.now(UTC)
        batch: list[JobUpdate] = []
        for number, updates in enumerate(wardrobe.updates(size), start=1):
            batch += updates
            if number % BATCH == 0 or number in (size - NEWS, size):
                await fill(batch)
                batch, moment = [], datetime.now(UTC) if number == size - NEWS else moment
        _say(f"{size} jobs written, {size / (time.perf_counter() - began):.0f}/s")
        try:
            yield store, moment
        finally:
            await store.close()
            if server:
                await _dropped(url)


def _written_as_they_are(url: str) -> Callable[[list[JobUpdate]], Awaitable[None]]:
    """Return a function that inserts jobs. `JobStore.apply` takes hours on FerretDB.

    `JobStore.apply` reads the jobs before it writes them.
    """

    async def fill(batch: list[JobUpdate]) -> None:
        folded = [fold(None, own) for own in group_by_job(batch).values()]
        async with AsyncMongoClient[dict[str, Any]](url) as client:
            jobs = client.get_default_database()["jobs"]
            await jobs.insert_many([to_stored(job) for job in folded if job], ordered=False)

    return fill


async def _dropped(url: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        await client.drop_database(client.get_default_database())


def _say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
