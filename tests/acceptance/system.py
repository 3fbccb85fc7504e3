"""The system under test: `lookstream up` as a process, used by HTTP and the command line."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.server import accepts, dismiss, free_port, guard
from tests.acceptance.process_tree import Process, alive, descendants
from tests.acceptance.rest import (
    Job,
    accepted,
    all_completed,
    fetched,
    finished,
    http_client,
    job_now,
)
from tests.polling import until
from tests.servers import KafkaServer, MinioServer

READY_WITHIN_S = 150.0
# The limit is 10 s; the rest is for a busy machine.
STOP_WITHIN_S = 20.0
DONE_WITHIN_S = 240.0
LOG_TAIL = 6000


class System:
    """One data directory and `lookstream up` on it, which tests start, stop and kill.

    ``settings`` are additional environment variables. ``kafka`` and ``minio`` are the real servers,
    None with the embedded backends.
    """

    kafka: KafkaServer | None = None
    minio: MinioServer | None = None

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        self.home = home
        self.gateway = ""
        self._settings = settings
        self._worker_port = _port_with_a_free_neighbour()
        self._log = home.with_suffix(".log")
        self._up: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._seen: set[Process] = set()

    # -- the process -----------------------------------------------------------------------

    def start(self, **settings: str) -> None:
        """Start `up` and wait until it reports that it is ready."""
        began = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "lookstream", "up", "--data", str(self.home), "--port", "0"],
                env=self.environment(**settings),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._dismiss_guard()
        self._guard = guard(self._up.pid)

        def address() -> str | None:
            assert self.running, f"`up` ended:\n{self.log()}"
            said = self._log.read_bytes()[began:].decode(errors="replace")
            found = re.search(r"Lookstream is ready: (\S+)", said)
            return found and found[1]

        self.gateway = until(address, READY_WITHIN_S)
        self.__dict__.pop("info", None)

    @contextlib.contextmanager
    def started_with(self, **settings: str) -> Iterator[None]:
        """Run `up` with other settings inside the context; `up` is stopped afterwards."""
        if self.running:
            self.stop()
        self.start(**settings)
        try:
            yield
        finally:
            if self.running:
                self.stop()

    @property
    def worker_pages(self) -> list[str]:
        """The URLs of the workers' health and metrics servers."""
        return [f"http://127.0.0.1:{self._worker_port + n}" for n in range(2)]

    @property
    def running(self) -> bool:
        return self._up is not None and self._up.poll() is None

    def stop(self) -> None:
        """Send SIGINT; assert that `up` ends in time with code 0 and leaves no process."""
        assert self._up is not None
        family = self.processes()
        self._up.send_signal(signal.SIGINT)
        try:
            code = self._up.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"SIGINT does not stop `up`:\n{self.log()}") from None
        assert code == 0, f"SIGINT ends `up` with {code}:\n{self.log()}"
        self._dismiss_guard()
        until(lambda: not alive(family))

    def reload(self, event: str = "reloaded") -> None:
        """Send SIGHUP and wait for the log event ``event``."""
        assert self._up is not None
        before = self.said().count(f'"{event}"')
        self._up.send_signal(signal.SIGHUP)
        until(lambda: self.said().count(f'"{event}"') > before, READY_WITHIN_S)

    def kill(self) -> set[Process]:
        """Send SIGKILL to `up` only; return its child processes, which end shortly after."""
        assert self._up is not None
        family = self.processes()
        self._up.kill()
        self._up.wait()
        self._dismiss_guard()
        return family

    def close(self) -> None:
        """Stop `up` as `stop` does, and kill every remaining process."""
        try:
            if self.running:
                self.stop()
        finally:
            if self.running:
                self.kill()
            self._dismiss_guard()
            for process in alive(self._seen):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)

    def processes(self) -> set[Process]:
        """Return all processes under `up`."""
        assert self._up is not None
        found = descendants(self._up.pid)
        self._seen |= found
        return found

    def running_as(self, role: str) -> set[Process]:
        """Return the processes of the ``worker`` or the ``gateway``."""
        return {each for each in self.processes() if f"-m lookstream {role}" in each.command}

    def said(self) -> str:
        """Return the whole output of `up`."""
        return self._log.read_text(errors="replace")

    def log(self) -> str:
        """Return the end of the output of `up`."""
        return self._log.read_text(errors="replace")[-LOG_TAIL:] if self._log.exists() else ""

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the environment of the processes, without the caller's own settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LOOKSTREAM_")}
        port = {"LOOKSTREAM_WORKER_PORT": str(self._worker_port)}
        return {**kept, **port, "COLUMNS": "200", **self._settings, **settings}

    def _dismiss_guard(self) -> None:
        if self._guard is not None:
            dismiss(self._guard)
            self._guard = None

    # -- the command line ------------------------------------------------------------------

    def cli(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `lookstream ARGUMENTS` with this gateway."""
        return subprocess.run(
            [sys.executable, "-m", "lookstream", *arguments],
            env=self.environment(LOOKSTREAM_GATEWAY=self.gateway, **settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @cached_property
    def info(self) -> dict[str, str]:
        """The output of `lookstream info --json`, such as ``gateway`` and ``kafka``."""
        told: dict[str, str] = json.loads(self.cli("info", "--json").stdout)
        return told

    # -- HTTP ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def http(self) -> Iterator[httpx.Client]:
        with http_client(self.gateway) as client:
            yield client

    def post(self, photos: Iterable[bytes] = (), **form: Any) -> httpx.Response:
        """Upload photos as multipart form data."""
        files = [("files", (f"{n}.jpg", photo)) for n, photo in enumerate(photos)]
        with self.http() as http:
            return http.post("/v1/jobs", files=files, data=form)

    def post_json(self, **body: Any) -> httpx.Response:
        """Submit photos as JSON."""
        with self.http() as http:
            return http.post("/v1/jobs", json=body)

    def submit(self, *photos: bytes, **form: Any) -> list[str]:
        """Submit photos in one request; assert that all are accepted; return their job ids."""
        return accepted(self.post(photos, **form))

    def job(self, job_id: str) -> Job | None:
        """Return the job as it is now, None if the job is unknown."""
        with self.http() as http:
            return job_now(http, job_id, 0)

    def finish(self, job_id: str, within_s: float = DONE_WITHIN_S) -> Job:
        """Wait for the job's end by long poll; return the job."""
        return self.finish_all([job_id], within_s)[0]

    def finish_all(self, job_ids: Iterable[str], within_s: float = DONE_WITHIN_S) -> list[Job]:
        """Wait for the jobs' ends; return them in order. An unavailable gateway is tried again."""
        deadline = time.monotonic() + within_s
        with self.http() as http:
            return [finished(http, job_id, deadline) for job_id in job_ids]

    def completed(self, *photos: bytes, **form: Any) -> list[Job]:
        """Submit photos; return their jobs; assert that all are completed."""
        return all_completed(self.finish_all(self.submit(*photos, **form)))

    def readiness(self) -> tuple[int, dict[str, str]]:
        """Return the status code of `/health/ready` and the status of each dependency."""
        with self.http() as http:
            answer = http.get("/health/ready")
        dependencies = answer.json()["dependencies"]
        return answer.status_code, {name: each["status"] for name, each in dependencies.items()}

    def a_worker_waits(self) -> bool:
        """Return whether a worker is not ready."""
        for page in self.worker_pages:
            with http_client(page) as http:
                if http.get("/health/ready").status_code == 503:
                    return True
        return False

    def computed(self) -> dict[str, float]:
        """Return the number of results that each stage of the running workers has computed."""
        return {
            sample.labels["stage"]: sample.value
            for page in self.worker_pages
            for family in text_string_to_metric_families(fetched(f"{page}/metrics").decode())
            for sample in family.samples
            if sample.name == "lookstream_stage_computed_total"
        }


def _port_with_a_free_neighbour() -> int:
    """Return a free port whose successor is free too: each worker has a port."""
    candidates = iter(free_port, None)
    return next(port for port in candidates if not accepts(port + 1))
