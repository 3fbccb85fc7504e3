"""Helpers of a REST client that uses HTTP only."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import httpx

from tests.polling import until

FINAL = ("completed", "failed")

Job = dict[str, Any]


def http_client(address: str = "") -> httpx.Client:
    """Return a client of the server at ``address``."""
    # Plain HTTP needs no certificates, and reading them takes longer than a request.
    return httpx.Client(base_url=address, timeout=90, trust_env=False, verify=False)  # noqa: S501


def fetched(url: str) -> bytes:
    """Return the content of ``url``."""
    with http_client() as http:
        return http.get(url).raise_for_status().content


def accepted(answer: httpx.Response) -> list[str]:
    """Return the job ids of a response; assert that every photo was accepted."""
    assert answer.status_code == 202, answer.text
    return [entry["job_id"] for entry in answer.json()["jobs"]]


def all_completed(jobs: list[Job]) -> list[Job]:
    """Return ``jobs``; assert that each is completed."""
    faults = [(job["job_id"], job["status"], job.get("error")) for job in jobs]
    assert all(job["status"] == "completed" for job in jobs), faults
    return jobs


def finished(http: httpx.Client, job_id: str, deadline: float) -> Job:
    """Wait for the job's end by long poll; ``deadline`` is of the monotonic clock."""

    def final() -> Job | None:
        with contextlib.suppress(httpx.TransportError):
            job = job_now(http, job_id, wait_s=min(20, max(0, deadline - time.monotonic())))
            return job if job and job["status"] in FINAL else None
        return None

    return until(final, max(deadline - time.monotonic(), 0.1))


def job_now(http: httpx.Client, job_id: str, wait_s: float) -> Job | None:
    """Return the job; None if it is unknown or the job store is unavailable."""
    answer = http.get(f"/v1/jobs/{job_id}", params={"wait": wait_s})
    if answer.status_code in (404, 503):
        return None
    assert answer.status_code == 200, answer.text
    job: Job = answer.json()
    return job
