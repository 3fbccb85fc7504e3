"""Measure how much slow sources delay an uploaded photo.

Measures photos on an idle system. Then queues 64 URLs of a server that never answers and eight JPEG
files with 20,000 scans, and measures photos that are uploaded right after them. The limit is twice
the idle time.

Examples:
    python -m benchmarks.robustness.slow_sources
    python -m benchmarks.robustness.slow_sources --photos 20
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time

import httpx

from benchmarks.robustness.attacks import ATTACKS, Target, hanging_server, photo
from benchmarks.running import Running, running

LIMIT = 2.0
BOMBS = "eight JPEG files with 20,000 scans"
URLS = 64


def _times(system: Running, first: int, count: int) -> list[float]:
    return [system.complete(photo(number)) for number in range(first, first + count)]


def _text(times: list[float]) -> str:
    return (
        f"median {statistics.median(times):.2f} s, longest {max(times):.2f} s, "
        f"first {times[0]:.2f} s"
    )


def _queue_urls(target: Target) -> None:
    urls = [f"http://{target.hanging}/{number}" for number in range(URLS)]
    with target.client() as client:
        client.post("/v1/jobs", json={"urls": urls}).raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=10)
    given = parser.parse_args()
    with hanging_server() as hanging, running(LOOKSTREAM_URL_ALLOW="127.0.0.2/32") as system:
        with httpx.Client(base_url=system.url, timeout=30) as client:
            kafka = str(client.get("/v1/info").json()["kafka"])
        target = Target(system.url, kafka, hanging)
        _times(system, 900_000, 4)
        idle = _times(system, 910_000, given.photos)
        print(f"idle:             {_text(idle)}", flush=True)
        _queue_urls(target)
        bombs = threading.Thread(target=lambda: ATTACKS[BOMBS](target), daemon=True)
        bombs.start()
        time.sleep(0.5)  # the bombs are queued first
        slow = _times(system, 920_000, given.photos)
        print(f"beside the slow:  {_text(slow)}")
        ratio = statistics.median(slow) / statistics.median(idle)
        first = slow[0] / statistics.median(idle)
        verdict = "within" if max(ratio, first) <= LIMIT else "OVER"
        print(f"ratio:            median {ratio:.2f}, first {first:.2f}: {verdict} {LIMIT:g}")
        bombs.join(60)


if __name__ == "__main__":
    main()
