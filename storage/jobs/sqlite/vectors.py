"""What photos are compared by, out of a job file: in the order of its writing, by that index.

The texts are picked out of the documents by SQLite itself, which is ten times as quick as reading
them here, and lets other threads work meanwhile.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

from storage.jobs.documents import timestamp
from storage.jobs.store import PLACES, JobVector, job_vector

PICKED = ", ".join(f"'$.stages.{stage}.result.{name}'" for stage, name in PLACES.values())
SELECT = (
    f'SELECT job_id, written_at, "group", json_extract(body, {PICKED})'  # noqa: S608
    " FROM jobs INDEXED BY jobs_by_writing"
    " WHERE (written_at, job_id) > (?, ?) ORDER BY written_at, job_id LIMIT ?"
)


def vectors(
    connection: sqlite3.Connection, after: tuple[datetime, str], limit: int
) -> list[JobVector]:
    """Return what ``limit`` jobs are compared by, those that come first after a place."""
    at, job_id = after
    rows = connection.execute(SELECT, (timestamp(at), job_id, limit))
    return [
        job_vector(job_id, written_at, group, dict(zip(PLACES, json.loads(texts), strict=True)))
        for job_id, written_at, group, texts in rows
    ]
