"""The pipeline's throughput, latency and memory, compared with the stage functions alone.

    python -m benchmarks.pipeline                 500 photos, and 100 and 2,000 queued jobs
    python -m benchmarks.pipeline --photos 100 --queued 200 --json

Set LOOKSTREAM_DATA to a folder with photos-train.tar to use real photos. The benchmark starts its
own `lookstream up`, on the backends that the environment names (embedded by default).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import photos as photo_source
from benchmarks.floor import Floor
from benchmarks.running import running
from lookstream.settings import Settings
from lookstream.supervisor.processes import limit_numeric_threads


def main() -> None:
    """Measure, and print a table or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=500, help="photos for the throughput (500)")
    parser.add_argument("--idle", type=int, default=60, help="photos submitted one at a time (60)")
    parser.add_argument("--queued", type=int, default=2000, help="photos in the long queue (2,000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    wanted = parser.parse_args()
    figures = measure(wanted.photos, wanted.idle, wanted.queued)
    if wanted.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")


def measure(count: int, idle: int, queued: int) -> dict[str, float]:
    """Return the figures: rates in photos/s, times in seconds, memory in MB."""
    limit_numeric_threads()
    threads = os.cpu_count() or 1
    everything = photo_source.load(count + 2 * idle + queued + 100)
    throughput, everything = everything[:count], everything[count:]
    single, everything = everything[: 2 * idle], everything[2 * idle :]
    with _floor() as floor:
        _say("compute floor")
        floor_rate = floor.throughput(throughput, threads)
        alone = [floor.one(photo) for photo in single[:idle]]
    with running() as system:
        _say("idle system")
        times = [system.complete(photo) for photo in single[idle:]]
        _say("throughput")
        rate = system.throughput(throughput)
        _say("100 queued")
        few = system.memory_while_queued(everything[:100])
        _say(f"{queued} queued")
        many = system.memory_while_queued(everything[100:])
    idle_p95 = _percentile(times, 95)
    return {
        "ratio": round(rate / floor_rate, 3),
        "floor_photos_s": round(floor_rate, 2),
        "pipeline_photos_s": round(rate, 2),
        "idle_p50_s": round(statistics.median(times), 3),
        "idle_p95_s": round(idle_p95, 3),
        "idle_p95_overhead_s": round(idle_p95 - _percentile(alone, 95), 3),
        "rss_mb_100": few,
        f"rss_mb_{queued}": many,
    }


@contextmanager
def _floor() -> Iterator[Floor]:
    with tempfile.TemporaryDirectory() as folder:
        yield Floor(Settings(), Path(folder))


def _percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def _say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
