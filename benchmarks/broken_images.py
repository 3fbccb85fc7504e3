"""Decode thousands of broken images; print what became of them, in how much time and memory.

python -m benchmarks.broken_images                       # through the decoder's child processes
python -m benchmarks.broken_images --url http://…:8000   # through a running Lookstream

Exit status 1 if a file gets neither a result nor a code, or needs more than 5 seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lookstream_client import Client, LookstreamError

from agents.inputs.decoding import Decoder
from agents.stages.errors import Rejected
from benchmarks.broken_files import Case, cases

LIMIT_S = 5.0


@dataclass(frozen=True)
class Outcome:
    """What became of one file. ``answer`` is ``completed``, a code, or ``ERROR`` and a text.

    ``memory`` is the peak of the decoding child in MB, 0 where the system does not tell.
    """

    kind: str
    name: str
    number: int
    answer: str
    seconds: float
    memory: int


def main() -> None:
    """Decode all files in two processes, print the table, and set the exit status."""
    options = _options()
    if options.part is not None:
        for outcome in _decoded(options):
            print(json.dumps(asdict(outcome)), flush=True)
        return
    outcomes = list(_from_parts(options))
    print(table(outcomes))
    bad = [one for one in outcomes if one.answer.startswith("ERROR") or one.seconds > LIMIT_S]
    for one in bad:
        print(f"case {one.number}, {one.kind}, {one.name}: {one.answer}, {one.seconds:.1f} s")
    missing = options.count - len(outcomes)
    if missing:
        print(f"{missing} files have no outcome: a process ended early")
    sys.exit(1 if bad or missing else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.broken_images")
    parser.add_argument("--count", type=int, default=5_000, help="number of files")
    parser.add_argument("--seed", type=int, default=1, help="other bit flips for another seed")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--url", help="a running Lookstream that gets the files instead")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _from_parts(options: argparse.Namespace) -> Iterator[Outcome]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.broken_images", *sys.argv[1:]]
    parts = [
        subprocess.Popen([*command, "--part", str(part)], stdout=subprocess.PIPE, text=True)
        for part in range(options.processes)
    ]
    for part in parts:
        assert part.stdout is not None  # noqa: S101 - it is a pipe
        for line in part.stdout:
            yield Outcome(**json.loads(line))
        part.wait()


def _decoded(options: argparse.Namespace) -> Iterator[Outcome]:
    try_one = _by_gateway(options.url) if options.url else _by_decoder()
    for number, case in enumerate(cases(options.count, options.seed)):
        if number % options.processes == options.part:
            data = case.make()
            yield try_one(number, case, data)


def _by_decoder() -> Callable[[int, Case, bytes], Outcome]:
    decoder = Decoder(processes=1)
    decoder.warm_up()

    def try_one(number: int, case: Case, data: bytes) -> Outcome:
        _forget_peak()
        started = time.monotonic()
        try:
            decoder.inspect(data)
            answer = "completed"
        except Rejected as error:
            answer = error.code
        except Exception as error:  # noqa: BLE001 - such an error is what this program looks for
            answer = f"ERROR {type(error).__name__}: {error}"
        seconds = time.monotonic() - started
        return Outcome(case.kind, case.name, number, answer, seconds, _peak())

    return try_one


def _by_gateway(url: str) -> Callable[[int, Case, bytes], Outcome]:
    client = Client(url)

    def try_one(number: int, case: Case, data: bytes) -> Outcome:
        started = time.monotonic()
        try:
            job = client.wait(client.submit(data).job_id, timeout_s=60)
            error = job.error
            answer = "completed" if job.status == "completed" else error.code if error else "ERROR"
            answer = f"ERROR {answer}" if answer == "stage-error" else answer
        except LookstreamError as error:
            answer = getattr(error, "code", None) or f"ERROR {error}"
        return Outcome(case.kind, case.name, number, answer, time.monotonic() - started, 0)

    return try_one


def _children() -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                yield process


def _forget_peak() -> None:
    for child in _children():
        with suppress(OSError):
            (child / "clear_refs").write_text("5")


def _peak() -> int:
    peak = 0
    for child in _children():
        with suppress(OSError):
            for line in (child / "status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]) // 1024)
    return peak


def table(outcomes: list[Outcome]) -> str:
    """Return the table as Markdown: one line for each kind, and a last line for all."""
    by_kind: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        by_kind[one.kind].append(one)
    lines = [
        "| kind | files | completed | rejected by code | slowest, s | worst memory, MB |",
        "|---|---:|---:|---|---:|---:|",
    ]
    for kind, found in [*by_kind.items(), ("all", outcomes)]:
        answers = Counter(one.answer.split(":")[0] for one in found)
        completed = answers.pop("completed", 0)
        codes = ", ".join(f"{code} {count:,}" for code, count in answers.most_common())
        slowest = max((one.seconds for one in found), default=0.0)
        worst = max((one.memory for one in found), default=0)
        lines.append(
            f"| {kind} | {len(found):,} | {completed:,} | {codes} | {slowest:.2f} | {worst:,} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
