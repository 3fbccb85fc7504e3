"""Start `lookstream up`, use it over HTTP, and measure its memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

CLIENTS = 8


class Running:
    """The system under test, used over HTTP."""

    def __init__(self, process: subprocess.Popen[str], gateway: str) -> None:
        self._process = process
        self._http = httpx.Client(
            base_url=gateway, timeout=90.0, limits=httpx.Limits(max_connections=CLIENTS)
        )

    @property
    def url(self) -> str:
        return str(self._http.base_url)

    def submit(self, photo: bytes, **form: str) -> str:
        """Upload a photo and return its job id."""
        answer = self._http.post("/v1/jobs", files={"files": ("photo", photo)}, data=form)
        answer.raise_for_status()
        return str(answer.json()["jobs"][0]["job_id"])

    def wait(self, job_id: str) -> None:
        """Wait until the job is completed. Raises `RuntimeError` if the job failed."""
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
        """Return the peak proportional set size, in MB, of all processes while the photos wait."""
        with self.memory() as memory:
            self._all(photos)
        return memory.peak_mb

    @contextmanager
    def memory(self) -> Iterator[Memory]:
        """Measure the memory of all processes inside the block, four times a second."""
        pid = self._process.pid
        memory, done = Memory(own_mb(pid)), threading.Event()

        def watch() -> None:
            while not done.wait(0.25):
                memory.add(memory_mb(pid), own_mb(pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield memory
        finally:
            done.set()
            watcher.join()

    def processes(self, role: str) -> list[int]:
        """Return the process ids of the ``gateway`` or of each ``worker``, in ascending order."""
        return sorted(pid for pid in _family(self._process.pid) if _role(pid) == role)

    def gateway_mb(self) -> float:
        """Return the proportional set size, in MB, of the gateway and its child processes."""
        return sum(memory_mb(pid) for pid in self.processes("gateway"))

    def _all(self, photos: Sequence[bytes]) -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            for _ in pool.map(self.wait, list(pool.map(self.submit, photos))):
                pass


@dataclass
class Memory:
    """Measurements of all processes, in MB: the highest proportional set size, and the first and
    the highest size of the memory without files.

    A file that other systems on the machine map too counts in parts, so the set size rises when
    one of these systems ends.
    """

    first_own_mb: float
    peak_mb: float = 0.0
    peak_own_mb: float = 0.0

    def add(self, measured_mb: float, own_mb: float) -> None:
        self.peak_mb = max(self.peak_mb, measured_mb)
        self.peak_own_mb = max(self.peak_own_mb, own_mb)

    @property
    def risen_mb(self) -> float:
        """By how much the memory without files rose after the first measurement."""
        return round(max(0.0, self.peak_own_mb - self.first_own_mb), 1)


@contextmanager
def running(**settings: str) -> Iterator[Running]:
    """Start the system on an empty data directory; yield it when it is ready; stop it.

    ``settings`` are environment variables.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "lookstream", "up", "--data", folder, "--port", "0"],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None  # noqa: S101 - stdout is a pipe
            found = re.search(r"http://\S+", process.stdout.readline())
            if not found:
                raise RuntimeError("lookstream up did not start")
            yield Running(process, found[0])
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def memory_mb(pid: int) -> float:
    """Return the proportional set size (PSS), in MB, of a process and its child processes.

    PSS counts a shared page once, divided among the processes that map it.
    """
    return round(sum(_pss(process, "Pss") for process in _family(pid)) / 1e6, 1)


def own_mb(pid: int) -> float:
    """Return the memory without files, in MB, of a process and its child processes."""
    parts = ("Pss_Anon", "Pss_Shmem")
    return round(sum(_pss(each, part) for each in _family(pid) for part in parts) / 1e6, 1)


def _family(pid: int) -> list[int]:
    """Return the process and its descendants. Each thread has its own list of children."""
    below: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            below += [int(child) for child in children.read_text().split()]
    return [pid, *(each for child in below for each in _family(child))]


def _role(pid: int) -> str:
    """Return the subcommand of `python -m lookstream`; empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[3]
    except (OSError, IndexError):
        return ""


def _pss(pid: int, part: str) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # the process has ended
        return 0.0
    found = re.search(rf"^{part}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024.0 if found else 0.0
