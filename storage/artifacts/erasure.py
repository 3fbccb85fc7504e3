"""Erase what a deleted job leaves in the artifact store, unless another job has the same content.

A note of what is to be erased is kept from before the job is deleted until all is gone, since the
deleted job itself no longer says what it was: whoever finds the note can finish the work.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactNotFound
from storage.jobs.store import Job, JobQuery, JobStore

PAGE = 500
TAKES_AT_MOST = timedelta(minutes=1)


async def write_erasure_note(artifacts: ArtifactStore, job: Job) -> None:
    """Keep a note of what `complete_erasure` is to erase; call it before ``job`` is deleted."""
    note = json.dumps({"source": dict(job.source), "sha256": content_hash(job)})
    await asyncio.to_thread(artifacts.put, keys.erasure(job.job_id), note.encode())


async def complete_erasure(
    jobs: JobStore,
    artifacts: ArtifactStore,
    job_id: str,
    kinds: Sequence[str],
    *,
    keep_note: bool = False,
) -> None:
    """Erase what the note of a deleted job names; nothing where there is no note (any more).

    Whatever is interrupted here can be called again. The note is kept where nobody else has been
    told of the deletion yet: the sweeper tells them.
    """
    try:
        note = json.loads(await asyncio.to_thread(artifacts.get, keys.erasure(job_id)))
    except ArtifactNotFound:
        return
    await _erase(jobs, artifacts, job_id, note["source"], note["sha256"], kinds)
    if not keep_note:
        await asyncio.to_thread(artifacts.delete, keys.erasure(job_id))


def pending_erasures(artifacts: ArtifactStore, before: datetime) -> list[str]:
    """Return the jobs whose notes are older than ``before``. Blocking."""
    notes = artifacts.list(keys.erasure(), limit=PAGE)
    old = [key for key in notes if _written(artifacts, key) < before]
    return [PurePosixPath(key).stem for key in old]


def _written(artifacts: ArtifactStore, key: str) -> datetime:
    try:
        return artifacts.stat(key).modified
    except ArtifactNotFound:  # just done
        return datetime.max.replace(tzinfo=UTC)


async def erase_job(
    jobs: JobStore, artifacts: ArtifactStore, job: Job, kinds: Sequence[str]
) -> None:
    """Erase what ``job``, which is deleted by now, brought into the artifact store."""
    await _erase(jobs, artifacts, job.job_id, job.source, content_hash(job), kinds)


async def erase_content(
    jobs: JobStore, artifacts: ArtifactStore, sha256: str, job_id: str, kinds: Sequence[str]
) -> bool:
    """Erase all that was made of one content, and say so, unless a job but ``job_id`` has it.

    Validation claims a content before it answers from what is kept, however far behind tracking is.
    Whoever claims it now sees that it is being erased, or is seen here: each writes, then reads.
    """
    await asyncio.to_thread(artifacts.delete, keys.claim(sha256, job_id))
    if (await jobs.find(JobQuery(sha256=sha256, limit=1))).jobs:
        return False
    await asyncio.to_thread(_begin, artifacts, sha256)
    claims = await asyncio.to_thread(artifacts.list, keys.claim(sha256), limit=PAGE)
    spared = await _is_claimed(jobs, claims)
    if not spared:
        await asyncio.to_thread(_erase_content, artifacts, sha256, claims, kinds)
    await asyncio.to_thread(artifacts.delete, keys.erasing(sha256))
    return not spared


def is_being_erased(artifacts: ArtifactStore, sha256: str) -> bool:
    """Tell whether somebody erases the content just now. Who was killed at it does not count."""
    try:
        since = datetime.fromisoformat(artifacts.get(keys.erasing(sha256)).decode())
    except (ArtifactNotFound, ValueError):
        return False
    return datetime.now(UTC) - since < TAKES_AT_MOST


def _begin(artifacts: ArtifactStore, sha256: str) -> None:
    artifacts.put(keys.erasing(sha256), datetime.now(UTC).isoformat().encode())


async def _is_claimed(jobs: JobStore, claims: Iterable[str]) -> bool:
    """Tell whether a job that is not deleted, known by now or not, is among the claims."""
    for key in claims:
        job = await jobs.get(key.rpartition("/")[2])
        if job is None or job.status != "deleted":
            return True
    return False


def content_hash(job: Job) -> str | None:
    """Return the SHA-256 of the job's photo, once validation has told."""
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
    remembered = await asyncio.to_thread(_remembered, artifacts, source.get("object", ""))
    for content in sorted(filter(None, {sha256, remembered})):
        await erase_content(jobs, artifacts, content, job_id, kinds)
    await asyncio.to_thread(_erase_source, artifacts, job_id, source)


def _remembered(artifacts: ArtifactStore, uploaded: str) -> str | None:
    """Return the content that an uploaded object turned out to be, which the job may not have
    been told before it was deleted."""
    try:
        known = json.loads(artifacts.get(keys.source_memory(uploaded))) if uploaded else {}
    except ArtifactNotFound:
        return None
    return known.get("sha256")


def _erase_source(artifacts: ArtifactStore, job_id: str, source: Mapping[str, str]) -> None:
    """Forget where the photo came from. Whoever has the same URL only has to fetch it again."""
    quarantined = (keys.incoming(job_id), keys.upload(job_id))
    for key in quarantined:
        artifacts.delete(key)
    for place in {*source.values(), *quarantined}:
        artifacts.delete(keys.source_memory(place))


def _erase_content(
    artifacts: ArtifactStore, sha256: str, claims: Iterable[str], kinds: Sequence[str]
) -> None:
    for key in claims:
        artifacts.delete(key)
    for prefix in keys.of_content(sha256, kinds):
        while found := artifacts.list(prefix, limit=PAGE):
            for key in found:
                artifacts.delete(key)
