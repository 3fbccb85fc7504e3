"""The search for similar photos: the first and later searches, in a small and a large store.

    python -m benchmarks.similar                          SQLite, 1,000 and 100,000 jobs
    python -m benchmarks.similar --files DIR --json       keep the job files for the next run

Each store has its own gateway. One client sends one search for 12 photos after the other, over
HTTP. The same client also reads single jobs: the `read` figures are the cost of HTTP, store and
machine without a search. If the machine has other load, compare CPU times, not wall-clock times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import httpx

from benchmarks import wardrobe
from benchmarks.running import memory_mb
from deploy.local.server import accepts, free_port
from gateway.live.live_jobs import OVERLAP
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import JobUpdate, StageCompleted
from streams.broker.connection import EmbeddedBroker
from streams.events.embedding import SIZE, encode

BATCH = 500  # jobs per write


def main() -> None:
    """Measure, and print a table or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100_000], metavar="N")
    parser.add_argument("--times", type=int, default=300, help="searches, and reads (300)")
    parser.add_argument("--files", help="directory of the job files, which are kept")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    wanted = parser.parse_args()
    kept = nullcontext(wanted.files) if wanted.files else tempfile.TemporaryDirectory()
    with kept as folder:
        files = {size: filled(Path(folder), size) for size in wanted.sizes}
        time.sleep(OVERLAP.total_seconds())  # a search reads newer writes again
        figures = {size: measure(file, wanted.times) for size, file in files.items()}
    if wanted.json:
        print(json.dumps(figures))
        return
    for name in figures[wanted.sizes[0]]:
        print(f"{name:20}", *(f"{figures[size][name]:12.2f}" for size in wanted.sizes))


def measure(file: Path, times: int) -> dict[str, float]:
    """Return the figures of one store: times in milliseconds, memory in MB."""
    with _gateway(file) as (http, pid):
        jobs = [job["job_id"] for job in http.get("/v1/jobs?status=completed").json()["jobs"]]
        chosen = random.Random(1).choices(jobs, k=times)  # noqa: S311
        read = sorted(_ms(http, f"/v1/jobs/{job_id}") for job_id in chosen)
        before, began = memory_mb(pid), _cpu_ms(pid)
        first = _ms(http, f"/v1/jobs/{jobs[0]}/similar")
        filled_at = _cpu_ms(pid)
        found = sorted(_ms(http, f"/v1/jobs/{job_id}/similar") for job_id in chosen)
        return {
            "first_ms": first,
            "first_cpu_ms": filled_at - began,
            "similar_cpu_ms": (_cpu_ms(pid) - filled_at) / times,
            "similar_p50_ms": found[times // 2],
            "similar_p95_ms": found[times * 95 // 100],
            "read_p50_ms": read[times // 2],
            "read_p95_ms": read[times * 95 // 100],
            "memory_before_mb": before,
            "memory_after_mb": memory_mb(pid),
        }


def filled(folder: Path, size: int) -> Path:
    """Return a job file of ``size`` jobs. The embeddings are random; about 2 % have none."""
    file = folder / f"similar-{size}.sqlite"
    if not file.exists():
        making = file.with_suffix(".making")
        asyncio.run(_fill(making, size))
        making.rename(file)
    return file


async def _fill(file: Path, size: int) -> None:
    store = SqliteJobs(file)
    chance = random.Random(size)  # noqa: S311
    batch: list[JobUpdate] = []
    for number, updates in enumerate(wardrobe.updates(size), start=1):
        batch += [_with_vector(update, chance) for update in updates]
        if number % BATCH == 0 or number == size:
            await store.apply(batch)
            batch = []
            print(f"… {number:,} of {size:,} jobs", file=sys.stderr, flush=True)
    await store.close()


def _with_vector(update: JobUpdate, chance: random.Random) -> JobUpdate:
    if not isinstance(update, StageCompleted) or update.stage != "classification":
        return update
    embedding = encode(chance.gauss(0, 1) for _ in range(SIZE))
    return replace(update, result={**update.result, "embedding": embedding})


@contextmanager
def _gateway(file: Path) -> Iterator[tuple[httpx.Client, int]]:
    broker, port = EmbeddedBroker(), free_port()
    with tempfile.TemporaryDirectory() as home:
        settings = {
            "LOOKSTREAM_KAFKA": str(broker),
            "LOOKSTREAM_HOME": home,
            "LOOKSTREAM_JOBS": f"sqlite://{file.absolute()}",
        }
        command = [sys.executable, "-m", "lookstream", "gateway", "--port", str(port)]
        process = subprocess.Popen(command, env={**os.environ, **settings})
        try:
            while not accepts(port):
                if process.poll() is not None:
                    raise RuntimeError("the gateway did not start")
                time.sleep(0.1)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as http:
                http.get("/health/ready").raise_for_status()
                yield http, process.pid
        finally:
            process.terminate()
            process.wait()
            broker.close()


def _cpu_ms(pid: int) -> float:
    """Return a process's CPU time, in steps of a clock tick (usually 10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def _ms(http: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    http.get(path).raise_for_status()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
