"""Event streams under load: 300 listeners and 200 jobs on one gateway, with lost connections.

    python -m benchmarks.listeners
    python -m benchmarks.listeners --jobs 50 --listeners 60 --json

Two thirds of the listeners follow one job each, the others follow all jobs of the group. Every
second listener disconnects once, waits, and resumes by Last-Event-ID. A listener that has seen the
ends of all its jobs does not resume. Each listener must see the ends of all its jobs. The benchmark
starts its own `lookstream up`, on the backends that the environment names.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import photos as photo_source
from benchmarks.crowd import Crowd
from benchmarks.running import Running, running

GROUP = "benchmark"
WITHIN_S = 900.0


def main() -> None:
    """Measure, and print a table or one JSON object.

    Exits with 1 if a listener missed a job's end, or if fewer than a third of the listeners
    resumed.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--listeners", type=int, default=300, help="concurrent listeners (300)")
    parser.add_argument("--jobs", type=int, default=200, help="photos submitted (200)")
    parser.add_argument("--stages", default="", help="wanted stages, comma-separated (all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    wanted = parser.parse_args()
    figures = measure(wanted.listeners, wanted.jobs, wanted.stages)
    if wanted.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")
    too_few = figures["resumed"] * 3 < figures["listeners"]
    sys.exit(1 if figures["missed"] or too_few else 0)


def measure(listeners: int, jobs: int, stages: str = "") -> dict[str, float]:
    """Return the figures: memory in MB, times in seconds."""
    photos = photo_source.load(jobs + 1)
    with running() as system:
        system.wait(system.submit(photos.pop()))  # warm up before memory is measured
        memory = [system.gateway_mb()]
        crowd = Crowd(system.url, GROUP, of_group=listeners // 3, of_jobs=listeners * 2 // 3)
        options = {"group": GROUP, **({"stages": stages} if stages else {})}

        def upload(photo: bytes) -> str:
            return system.submit(photo, **options)

        with _watching(system, memory):
            asyncio.run(asyncio.wait_for(crowd.listen(photos, upload), WITHIN_S))
        return {
            "gateway_mb_before": memory[0],
            "gateway_mb_peak": max(memory),
            **crowd.figures(),
        }


@contextmanager
def _watching(system: Running, memory: list[float]) -> Iterator[None]:
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.25):
            memory.append(system.gateway_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


if __name__ == "__main__":
    main()
