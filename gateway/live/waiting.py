"""Read a job, and wait for its end."""

from __future__ import annotations

from time import monotonic
from uuid import UUID

from fastapi import Request

from gateway.deps import GatewayDeps
from gateway.http.problems import Problem
from storage.jobs.store import FINAL, Job

# The follower may miss a change while Kafka is away, so a long poll looks for itself as well.
REREAD_S = 1.0


def canonical(job_id: str, code: str = "job-not-found") -> str:
    """Return the id as it is stored. Raises `Problem` of ``code`` for what is no id at all."""
    try:
        return str(UUID(job_id))
    except ValueError:
        raise Problem(code, "an id is a UUID") from None


async def get_job(deps: GatewayDeps, job_id: str) -> Job:
    """Return the job. Raises `Problem` when there is none, or none any more."""
    job = await deps.jobs.get(job_id)
    if job is None or job.status == "deleted":
        raise Problem("job-not-found", f"no job {job_id}")
    return job


async def wait_for_job(deps: GatewayDeps, request: Request, job_id: str, wait_s: float) -> Job:
    """Return the job at its end, or as it is after ``wait_s`` seconds, or when nobody waits any
    more. Raises `Problem` when there is none."""
    deadline = monotonic() + wait_s
    with deps.job_updates.subscribe(job_id) as watch:
        while True:
            job = await get_job(deps, job_id)
            left = deadline - monotonic()
            if job.status in FINAL or left <= 0 or await request.is_disconnected():
                return job
            await watch.changed(min(left, REREAD_S))
