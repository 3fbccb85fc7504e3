"""Erase the artifacts of a deleted job, unless another job has the same content.

The document of a deleted job no longer names its artifacts. So a note with the job's source and
content hash is written before the deletion and removed after the erasure. Any process that finds
the note can finish an interrupted erasure.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactNotFound, StorageFull
from storage.jobs.store import Job, JobQuery, JobStore

PAGE = 500
MARKER_EXPIRY = timedelta(minutes=1)


async def write_erasure_note(artifacts: ArtifactStore, job: Job) -> bool:
    """Write the note for `complete_erasure`. Call this before ``job`` is deleted.

    Returns False if the store is full. Then delete the job and call `erase_job`: without a note, an
    interrupted erasure leaves artifacts behind, but a full store must not prevent a deletion.
    """
    note = json.dumps({"source": dict(job.source), "sha256": content_hash(job)})
    try:
        await asyncio.to_thread(artifacts.put, keys.erasure(job.job_id), note.encode())
    except StorageFull:
        return False
    return True


async def complete_erasure(
    jobs: JobStore,
    artifacts: ArtifactStore,
    job_id: str,
    kinds: Sequence[str],
    *,
    keep_note: bool = False,
) -> None:
    """Erase the artifacts that the note of a deleted job names; do nothing without a note.

    ``kinds`` are the artifact prefixes of all stages. Idempotent: call it again after an
    interruption. Use ``keep_note`` if `job-deleted` was not published: the sweeper publishes it.
    """
    try:
        note = json.loads(await asyncio.to_thread(artifacts.get, keys.erasure(job_id)))
    except ArtifactNotFound:
        return
    await _erase(jobs, artifacts, job_id, note["source"], note["sha256"], kinds)
    if not keep_note:
        await asyncio.to_thread(artifacts.delete, keys.erasure(job_id))


def pending_erasures(artifacts: ArtifactStore, before: datetime) -> list[str]:
    """Return the ids of the jobs with notes older than ``before``, of the first 500 notes in the
    order of job ids. Blocking."""
    notes = artifacts.list(keys.erasure(), limit=PAGE)
    old = [key for key in notes if _written(artifacts, key) < before]
    return [PurePosixPath(key).stem for key in old]


def _written(artifacts: ArtifactStore, key: str) -> datetime:
    try:
        return artifacts.stat(key).modified
    except ArtifactNotFound:  # another process finished meanwhile
        return datetime.max.replace(tzinfo=UTC)


async def erase_job(
    jobs: JobStore, artifacts: ArtifactStore, job: Job, kinds: Sequence[str]
) -> None:
    """Erase the artifacts of ``job``, given as it was before its deletion."""
    await _erase(jobs, artifacts, job.job_id, job.source, content_hash(job), kinds)


async def erase_content(
    jobs: JobStore, artifacts: ArtifactStore, sha256: str, job_id: str, kinds: Sequence[str]
) -> bool:
    """Erase the artifacts of one photo's content, which the job ``job_id`` had.

    Return True if they were erased. Return False if another job has the same content; then its
    artifacts stay.

    Validation writes a claim for the content before it reuses stored results. So this function
    finds the claim even if tracking has not updated the job store yet. Both processes write before
    they read: validation writes its claim and then looks for a marker; this function writes its
    marker and then looks for claims. So at least one of them sees what the other wrote.
    """
    await asyncio.to_thread(_withdraw, artifacts, sha256, job_id)
    if (await jobs.find(JobQuery(sha256=sha256, limit=1))).jobs:
        return False
    await asyncio.to_thread(_write_marker, artifacts, sha256)
    claims = await asyncio.to_thread(artifacts.list, keys.claim(sha256), limit=PAGE)
    spared = await _is_claimed(jobs, claims)
    if not spared:
        await asyncio.to_thread(_erase_content, artifacts, sha256, claims, kinds)
    await asyncio.to_thread(artifacts.delete, keys.erasing(sha256))
    return not spared


def is_being_erased(artifacts: ArtifactStore, sha256: str) -> bool:
    """Tell whether a process erases the content now. A marker older than a minute was abandoned."""
    try:
        since = datetime.fromisoformat(artifacts.get(keys.erasing(sha256)).decode())
    except (ArtifactNotFound, ValueError):
        return False
    return datetime.now(UTC) - since < MARKER_EXPIRY


def _write_marker(artifacts: ArtifactStore, sha256: str) -> None:
    """Write the marker. If the store is full, no marker is written; but then validation cannot
    write a new claim either."""
    with suppress(StorageFull):
        artifacts.put(keys.erasing(sha256), datetime.now(UTC).isoformat().encode())


def _withdraw(artifacts: ArtifactStore, sha256: str, job_id: str) -> None:
    """Erase the records that the job has the content: claim, note and source record."""
    artifacts.delete(keys.claim(sha256, job_id))
    with suppress(ArtifactNotFound):
        source = artifacts.get(keys.content_of(job_id, sha256)).decode()
        artifacts.delete(source)
        artifacts.delete(keys.content_of(job_id, sha256))


async def _is_claimed(jobs: JobStore, claims: Iterable[str]) -> bool:
    """Tell whether a claim belongs to a job that is not deleted. A job that the job store does not
    know counts as not deleted: tracking may not have stored it yet."""
    for key in claims:
        job = await jobs.get(key.rpartition("/")[2])
        if job is None or job.status != "deleted":
            return True
    return False


def content_hash(job: Job) -> str | None:
    """Return the SHA-256 of the job's photo, or None before validation."""
    validated = job.stages.get("validation")
    sha256: Any = validated and validated.result and validated.result.get("sha256")
    return sha256 if isinstance(sha256, str) and sha256 else None


async def _erase(
    jobs: JobStore,
    artifacts: ArtifactStore,
    job_id: str,
    source: Mapping[str, str],
    sha256: str | None,
    kinds: Sequence[str],
) -> None:
    uploaded = await asyncio.to_thread(_hash_of_upload, artifacts, source.get("object", ""))
    noted = await asyncio.to_thread(artifacts.list, keys.content_of(job_id), limit=PAGE)
    stored = {key.rpartition("/")[2] for key in noted}
    for content in sorted(filter(None, {sha256, uploaded, *stored})):
        await erase_content(jobs, artifacts, content, job_id, kinds)
    await asyncio.to_thread(_erase_source, artifacts, job_id, source)


def _hash_of_upload(artifacts: ArtifactStore, key: str) -> str | None:
    """Return the content hash of an uploaded object. The job may have been deleted before it knew
    the hash."""
    try:
        known = json.loads(artifacts.get(keys.source_record(key))) if key else {}
    except ArtifactNotFound:
        return None
    return known.get("sha256")


def _erase_source(artifacts: ArtifactStore, job_id: str, source: Mapping[str, str]) -> None:
    """Erase the job's quarantined files and its source records. Without the record of a URL, the
    next job with this URL downloads the photo again."""
    quarantined = (keys.incoming(job_id), keys.upload(job_id))
    for key in quarantined:
        artifacts.delete(key)
    for place in {*source.values(), *quarantined}:
        artifacts.delete(keys.source_record(place))


def _erase_content(
    artifacts: ArtifactStore, sha256: str, claims: Iterable[str], kinds: Sequence[str]
) -> None:
    for key in claims:
        artifacts.delete(key)
    for prefix in keys.of_content(sha256, kinds):
        while found := artifacts.list(prefix, limit=PAGE):
            for key in found:
                artifacts.delete(key)
