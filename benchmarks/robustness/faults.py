"""Break servers and processes while photos are processed, and count what is lost.

Runs `lookstream up` on Apache Kafka, MinIO and FerretDB. A client submits ``--photos`` photos, from
before the first fault, and repeats a request until the gateway accepts it. Meanwhile every server,
the gateway and every worker is killed, frozen and restarted, one after the other. After each fault,
``recovery`` is the time until one newly submitted photo is completed; a failed one is submitted
again. Some photos are broken on purpose: they must be rejected.

Examples:
    python -m benchmarks.robustness.faults
    python -m benchmarks.robustness.faults --photos 200 --only worker
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.robustness.attacks import photo
from benchmarks.running import Running, running
from deploy.local.server import Server
from deploy.local.servers import FerretDB, Kafka, Minio

FROZEN_S = 45.0
BROKEN_EVERY = 50
FINAL_S = 900.0
"""Longest time that all jobs may take after the last fault."""


@dataclass(frozen=True)
class Fault:
    """One fault. ``apply`` returns when the fault is over."""

    name: str
    apply: Callable[[], None]


class Submitter:
    """A client that submits photos at a steady rate until `stop`, each until it is accepted."""

    def __init__(self, url: str, limit: int) -> None:
        self._url = url
        self._limit = limit
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(lane,)) for lane in range(4)]
        self._numbers: Iterator[int] = iter(range(limit))
        self._lock = threading.Lock()
        self.jobs: dict[str, bool] = {}
        """Accepted jobs, and whether their photo is intact."""

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Wait until all photos are accepted."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, lane: int) -> None:
        with httpx.Client(base_url=self._url, timeout=30.0) as client:
            while (number := self._next()) is not None:
                intact = number % BROKEN_EVERY != BROKEN_EVERY - 1
                data = photo(number) if intact else photo(number)[:400]
                job = submitted(client, data)
                with self._lock:
                    self.jobs[job] = intact
                self._stop.wait(1.5)

    def _next(self) -> int | None:
        with self._lock:
            return next(self._numbers, None)


def submitted(client: httpx.Client, data: bytes) -> str:
    """Submit a photo; repeat the request with its idempotency key until it is accepted."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    while True:
        try:
            answer = client.post("/v1/jobs", files={"files": ("photo.png", data)}, headers=headers)
            if answer.status_code == 202:
                return str(answer.json()["jobs"][0]["job_id"])
            if answer.status_code < 500 and answer.status_code != 429:
                raise SystemExit(f"the gateway refused a photo: {answer.text}")
        except httpx.TransportError:
            pass
        time.sleep(0.5)


def status(client: httpx.Client, job: str) -> str:
    """Return the job's status; "unknown" if the gateway does not know it, "" without an answer."""
    try:
        answer = client.get(f"/v1/jobs/{job}")
    except httpx.TransportError:
        return ""
    if answer.status_code == 404:
        return "unknown"
    return str(answer.json()["status"]) if answer.status_code == 200 else ""


def recovery_s(url: str) -> float:
    """Return the seconds until a newly submitted photo is completed."""
    began = time.monotonic()
    with httpx.Client(base_url=url, timeout=30.0) as client:
        job, state = "", "failed"
        while state != "completed":
            if state == "failed":
                job = submitted(client, photo(int(time.monotonic() * 1000)))
            time.sleep(0.2)
            state = status(client, job)
    return time.monotonic() - began


def server_faults(server: Server) -> list[Fault]:
    """Return the faults of one server: killed, frozen and restarted."""

    def killed() -> None:
        server.kill()
        server.restart()

    def frozen() -> None:
        with server.frozen():
            time.sleep(FROZEN_S)

    return [
        Fault(f"{server.name}: SIGKILL, started again", killed),
        Fault(f"{server.name}: SIGSTOP for {FROZEN_S:.0f} s", frozen),
        Fault(f"{server.name}: restarted", server.restart),
    ]


def process_faults(system: Running, role: str, number: int) -> list[Fault]:
    """Return the faults of one process of `up`, which starts an ended process again."""

    def send(signal_number: int) -> None:
        os.kill(system.processes(role)[number], signal_number)

    def frozen() -> None:
        pid = system.processes(role)[number]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(FROZEN_S)
        os.kill(pid, signal.SIGCONT)

    name = f"{role} {number + 1}"
    return [
        Fault(f"{name}: SIGKILL", lambda: send(signal.SIGKILL)),
        Fault(f"{name}: SIGSTOP for {FROZEN_S:.0f} s", frozen),
        Fault(f"{name}: SIGTERM", lambda: send(signal.SIGTERM)),
    ]


@contextmanager
def system_on_servers() -> Iterator[tuple[Running, list[Server]]]:
    """Start the servers and `up` on them; stop everything at the end."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka, minio, database = Kafka(), Minio(), FerretDB()
        servers: list[Server] = [kafka, minio, database]
        urls = []
        for server in servers:
            stack.callback(server.stop)
            urls.append(server.start(root / server.name))
        settings = {
            "LOOKSTREAM_KAFKA": urls[0],
            "LOOKSTREAM_ARTIFACTS": urls[1].replace("/?", "/faults?"),
            "LOOKSTREAM_JOBS": urls[2],
        }
        yield stack.enter_context(running(**settings)), servers


def final_statuses(url: str, jobs: dict[str, bool]) -> Counter[str]:
    """Wait until all jobs have ended; count what became of them."""
    until = time.monotonic() + FINAL_S
    found: Counter[str] = Counter()
    with httpx.Client(base_url=url, timeout=30.0) as client:
        for job, intact in jobs.items():
            state = status(client, job)
            while state not in ("completed", "failed") and time.monotonic() < until:
                time.sleep(0.5)
                state = status(client, job)
            ended = {"completed": "completed", "failed": "rejected"}.get(state, "lost")
            wrong = ended != ("completed" if intact else "rejected") and ended != "lost"
            found[f"{ended} wrongly" if wrong else ended] += 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--only", default="", help="apply faults whose name contains this text")
    given = parser.parse_args()
    with system_on_servers() as (system, servers):
        faults = [fault for server in servers for fault in server_faults(server)]
        for role in ("gateway", "worker"):
            for number in range(len(system.processes(role))):
                faults += process_faults(system, role, number)
        submitter = Submitter(system.url, given.photos)
        print(f"idle: a photo takes {recovery_s(system.url):.1f} s", flush=True)
        submitter.start()
        print("| fault | accepted so far | recovery |\n|---|---|---|", flush=True)
        for fault in faults:
            if given.only in fault.name:
                fault.apply()
                took = recovery_s(system.url)
                print(f"| {fault.name} | {len(submitter.jobs)} | {took:.1f} s |", flush=True)
        submitter.finish()
        ended = final_statuses(system.url, submitter.jobs)
    print(f"\naccepted {len(submitter.jobs)}: " + ", ".join(f"{n} {s}" for s, n in ended.items()))
    lost = len(submitter.jobs) - ended["completed"] - ended["rejected"]
    print(f"lost or wrong: {lost}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
