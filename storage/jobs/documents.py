"""Jobs as JSON-like documents, the same for every database, and the cursors of listings.

Times are ISO strings in UTC with microseconds, so that they sort as text. BSON's own dates keep
only milliseconds: a stored failure would then differ from the same failure delivered again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from storage.errors import InvalidCursor, StorageError
from storage.jobs.store import Job, StageError, StageState

log = structlog.get_logger()

CURSOR = re.compile(r"(-?\d{1,18})\.([A-Za-z0-9-]{1,64})", re.ASCII)
TICK = timedelta(microseconds=1)
EPOCH = datetime.fromtimestamp(0, UTC)
FIRST, LAST = (limit.replace(tzinfo=UTC) for limit in (datetime.min, datetime.max))


def job_document(job: Job) -> dict[str, Any]:
    """Return the document of ``job``, with ``sort_at``, the time that listings sort by."""
    return {
        "job_id": job.job_id,
        "run": job.run,
        "lane": job.lane,
        "status": job.status,
        "source": dict(job.source),
        "owner": job.owner,
        "group": job.group,
        "wanted": list(job.wanted),
        "metadata": dict(job.metadata),
        "idempotency_key": job.idempotency_key,
        "force": job.force,
        "submitted_at": timestamp(job.submitted_at),
        "updated_at": timestamp(job.updated_at),
        "sort_at": timestamp(job.submitted_at or job.updated_at),
        "stages": {stage: _state_document(state) for stage, state in job.stages.items()},
        "error": None if job.error is None else vars(job.error).copy(),
        "revision": job.revision,
        "filename": job.filename,
    }


def job_from_document(doc: Mapping[str, Any]) -> Job:
    """Return the job of a document. Ignores unknown fields; missing ones get their defaults.

    Raises `StorageError` if the document is unreadable.
    """
    try:
        return _job(doc)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise StorageError(f"a job's document is unreadable: {error!r}") from error


def readable_jobs(docs: Iterable[Mapping[str, Any]]) -> tuple[Job, ...]:
    """Return the jobs of the documents without the unreadable ones, so that one unreadable document
    does not hide the others."""
    jobs = []
    for doc in docs:
        try:
            jobs.append(job_from_document(doc))
        except StorageError as error:
            log.warning("job_unreadable", job_id=str(doc.get("job_id"))[:64], reason=str(error))
    return tuple(jobs)


def _job(doc: Mapping[str, Any]) -> Job:
    values = _known(Job, doc)
    values["wanted"] = tuple(values["wanted"])
    values["submitted_at"] = parse_time(values["submitted_at"])
    values["updated_at"] = parse_time(values["updated_at"])
    values["stages"] = {stage: _state(state) for stage, state in values["stages"].items()}
    values["error"] = _error(values.get("error"))
    return Job(**values)


def timestamp(time: datetime | None) -> str | None:
    """Return ``time`` in UTC as text that sorts like the time itself."""
    return None if time is None else time.astimezone(UTC).isoformat(timespec="microseconds")


def parse_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def cursor_after(doc: Mapping[str, Any]) -> str:
    """Return the cursor for the page after ``doc``: its ``sort_at`` in microseconds, and its id."""
    since = datetime.fromisoformat(doc["sort_at"]) - EPOCH
    return f"{since // TICK}.{doc['job_id']}"


def parse_cursor(cursor: str) -> tuple[str, str]:
    """Return the ``(sort_at, job_id)`` of a cursor. Raises `InvalidCursor`."""
    found = CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidCursor("the cursor was not returned by a listing")
    ticks = min(max(int(found[1]), (FIRST - EPOCH) // TICK), (LAST - EPOCH) // TICK)
    return (EPOCH + ticks * TICK).isoformat(timespec="microseconds"), found[2]


def _state_document(state: StageState) -> dict[str, Any]:
    return {
        "status": state.status,
        "run": state.run,
        "attempts": state.attempts,
        "started_at": timestamp(state.started_at),
        "finished_at": timestamp(state.finished_at),
        "reused": state.reused,
        "result": None if state.result is None else dict(state.result),
        "error": None if state.error is None else vars(state.error).copy(),
        "blocks": list(state.blocks),
    }


def _state(doc: Mapping[str, Any]) -> StageState:
    values = _known(StageState, doc)
    values["started_at"] = parse_time(values.get("started_at"))
    values["finished_at"] = parse_time(values.get("finished_at"))
    values["error"] = _error(values.get("error"))
    values["blocks"] = tuple(values.get("blocks", ()))
    return StageState(**values)


def _error(doc: Mapping[str, Any] | None) -> StageError | None:
    return None if doc is None else StageError(**_known(StageError, doc))


def _known(kind: type[Job | StageState | StageError], doc: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: doc[field.name] for field in fields(kind) if field.name in doc}
