"""A `lookstream up` of the benchmark's own, and what can be measured of it from outside."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

CLIENTS = 8


class Running:
    """The system under test, spoken to over HTTP."""

    def __init__(self, process: subprocess.Popen[str], gateway: str) -> None:
        self._process = process
        self._http = httpx.Client(
            base_url=gateway, timeout=90.0, limits=httpx.Limits(max_connections=CLIENTS)
        )

    def submit(self, photo: bytes) -> str:
        """Upload a photo and return its job."""
        answer = self._http.post("/v1/jobs", files={"files": ("photo", photo)})
        answer.raise_for_status()
        return str(answer.json()["jobs"][0]["job_id"])

    def wait(self, job_id: str) -> None:
        """Return when the job has completed; raise when it has failed."""
        while True:
            job = self._http.get(f"/v1/jobs/{job_id}", params={"wait": 60}).json()
            if job["status"] == "failed":
                raise RuntimeError(f"job failed: {job['error']}")
            if job["status"] == "completed":
                return

    def complete(self, photo: bytes) -> float:
        """Return the seconds from submitting one photo to its completion."""
        began = time.perf_counter()
        self.wait(self.submit(photo))
        return time.perf_counter() - began

    def throughput(self, photos: Sequence[bytes]) -> float:
        """Return photos/s from the first submission to the last completion."""
        began = time.perf_counter()
        self._all(photos)
        return len(photos) / (time.perf_counter() - began)

    def memory_while_queued(self, photos: Sequence[bytes]) -> float:
        """Return the peak resident memory, in MB, of all processes while the photos wait."""
        peak = 0.0
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.25):
                peak = max(peak, self._memory())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            self._all(photos)
        finally:
            done.set()
            watcher.join()
        return round(peak, 1)

    def _all(self, photos: Sequence[bytes]) -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            for _ in pool.map(self.wait, list(pool.map(self.submit, photos))):
                pass

    def _memory(self) -> float:
        """Proportional set size of the process and all below it: shared pages count once."""
        return sum(_pss(process) for process in _family(self._process.pid)) / 1e6


@contextmanager
def running() -> Iterator[Running]:
    """Start the system on an empty data directory; yield it ready; stop it."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "lookstream", "up", "--data", folder, "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            found = re.search(r"http://\S+", process.stdout.readline())
            if not found:
                raise RuntimeError("lookstream up did not start")
            yield Running(process, found[0])
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    below = [int(child) for child in children.read_text().split()] if children.exists() else []
    return [pid, *(each for child in below for each in _family(child))]


def _pss(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it ended meanwhile
        return 0.0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024.0 if found else 0.0
