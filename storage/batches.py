"""A batch of updates, job by job."""

from __future__ import annotations

from collections.abc import Iterable

from storage.jobs import JobUpdate


def by_job(updates: Iterable[JobUpdate]) -> dict[str, list[JobUpdate]]:
    """Return the updates of each job, in order; the jobs in the order of their first update."""
    batch: dict[str, list[JobUpdate]] = {}
    for update in updates:
        batch.setdefault(update.job_id, []).append(update)
    return batch
