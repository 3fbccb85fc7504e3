"""Attack a running system, and print what each attack costs and how it delays other photos.

For each attack of `benchmarks.robustness.attacks`: the answer, its seconds, the memory that all
processes together used on top of the memory before, and the longest time that a photo of another
client took meanwhile. Every attack runs against a system that has been started anew.

Examples:
    python -m benchmarks.robustness.hostile
    python -m benchmarks.robustness.hostile --only "JSON" --json after.json
    python -m benchmarks.robustness.hostile --before before.json
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from benchmarks.robustness.attacks import ATTACKS, Attack, Target, hanging_server, photo
from benchmarks.running import Running, running

LIMIT_MB, LIMIT_S = 150.0, 5.0
"""What one attack may cost in memory, and how long it may delay another photo."""
PAUSE_S = 0.5
WARM_UP = 8  # photos at once


@dataclass(frozen=True)
class Outcome:
    """The answer and the cost of one attack. ``delay_s`` is on top of the photo's idle time."""

    answer: str
    seconds: float
    memory_mb: float
    delay_s: float

    @property
    def text(self) -> str:
        cost = f"{self.seconds:.1f} s, {self.memory_mb:.0f} MB, delay {self.delay_s:.1f} s"
        return f"{self.answer} ({cost})"


class Bystander:
    """Another client: submits a photo again and again and measures how long each takes."""

    def __init__(self, system: Running) -> None:
        self._system = system
        self._stop = threading.Event()
        self._number = 500_000
        self.longest_s = 0.0
        with ThreadPoolExecutor(WARM_UP) as pool:  # so that all threads and children have started
            list(pool.map(system.complete, map(photo, range(600_000, 600_000 + 2 * WARM_UP))))
        self.idle_s = min(self._one() for _ in range(4))
        self.longest_s = 0.0
        self._thread = threading.Thread(target=self._run)

    def _one(self) -> float:
        self._number += 1
        began = time.perf_counter()
        try:
            self._system.complete(photo(self._number))
        except (httpx.HTTPError, RuntimeError):
            time.sleep(0.5)
        took = time.perf_counter() - began
        self.longest_s = max(self.longest_s, took)
        return took

    def _run(self) -> None:
        self._one()
        while not self._stop.wait(PAUSE_S):
            self._one()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> float:
        """Return the longest delay in seconds, compared with an idle system."""
        self._stop.set()
        self._thread.join()
        return max(0.0, self.longest_s - self.idle_s)


def measured(attack: Attack, hanging: str) -> Outcome:
    """Run one attack against a new system."""
    with running(LOOKSTREAM_URL_ALLOW="127.0.0.2/32") as system:
        with httpx.Client(base_url=system.url, timeout=30) as client:
            kafka = str(client.get("/v1/info").json()["kafka"])
        target = Target(system.url, kafka, hanging)
        other = Bystander(system)
        with system.memory() as memory:
            other.start()
            began = time.perf_counter()
            try:
                answer = attack(target)
            except (httpx.HTTPError, OSError, RuntimeError, LookupError) as error:
                answer = f"{type(error).__name__}: {error}"[:80]
            took = time.perf_counter() - began
            delay = other.stop()
        return Outcome(answer, round(took, 1), memory.risen_mb, round(delay, 1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="run attacks whose name contains this text")
    parser.add_argument(
        "--json", type=Path, help="write the outcomes to this file; others in it stay"
    )
    parser.add_argument("--before", type=Path, help="outcomes of an earlier version, for the table")
    given = parser.parse_args()
    before = json.loads(given.before.read_text()) if given.before else {}
    kept = json.loads(given.json.read_text()) if given.json and given.json.exists() else {}
    found: dict[str, Outcome] = {}
    over = 0
    print("| attack | before | now | within limits |\n|---|---|---|---|", flush=True)
    for name, attack in ATTACKS.items():
        if given.only.lower() not in name.lower():
            continue
        with hanging_server() as hanging:
            outcome = found[name] = measured(attack, hanging)
        earlier = Outcome(**before[name]).text if name in before else ""
        fits = outcome.memory_mb <= LIMIT_MB and outcome.delay_s <= LIMIT_S
        over += not fits
        print(f"| {name} | {earlier} | {outcome.text} | {'yes' if fits else 'no'} |", flush=True)
        if given.json:
            kept[name] = asdict(outcome)
            given.json.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + os.linesep)
    print(f"\n{len(found) - over} of {len(found)} attacks cost at most {LIMIT_MB:.0f} MB "
          f"and delayed no photo by more than {LIMIT_S:.0f} s.")  # fmt: skip


if __name__ == "__main__":
    main()
