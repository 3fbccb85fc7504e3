"""Read one job, and wait until its run ends (long poll)."""

from __future__ import annotations

from time import monotonic
from uuid import UUID

from fastapi import Request

from gateway.deps import GatewayDeps
from gateway.http.problems import Problem
from storage.jobs.store import FINAL, Job

# Job updates can be lost while Kafka is down, so a long poll also reads the store this often.
REREAD_S = 1.0


def canonical_id(job_id: str, code: str = "job-not-found") -> str:
    """Return the UUID ``job_id`` in the form that the store uses. Raises `Problem` with ``code`` if
    ``job_id`` is not a UUID."""
    try:
        return str(UUID(job_id))
    except ValueError:
        raise Problem(code, "the id is not a UUID") from None


async def get_job(deps: GatewayDeps, job_id: str) -> Job:
    """Return the job. Raises `Problem` if the job does not exist or was deleted."""
    job = await deps.jobs.get(job_id)
    if job is None or job.status == "deleted":
        raise Problem("job-not-found", f"no job {job_id}")
    return job


async def wait_for_job(deps: GatewayDeps, request: Request, job_id: str, wait_s: float) -> Job:
    """Return the job once its run ends, after ``wait_s`` seconds, or once the client disconnects.

    Raises `Problem` if the job does not exist or was deleted.
    """
    deadline = monotonic() + wait_s
    with deps.job_updates.subscribe(job_id) as subscription:
        while True:
            job = await get_job(deps, job_id)
            left = deadline - monotonic()
            if job.status in FINAL or left <= 0 or await request.is_disconnected():
                return job
            await subscription.changed(min(left, REREAD_S))
