"""The job store's port, and the values that it takes and returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

JobStatus = Literal["pending", "processing", "completed", "failed", "deleted"]
StageStatus = Literal["pending", "completed", "failed", "skipped"]
FINAL: frozenset[JobStatus] = frozenset({"completed", "failed", "deleted"})
NOT_DELETED: frozenset[JobStatus] = frozenset({"pending", "processing", "completed", "failed"})


@dataclass(frozen=True)
class StageError:
    """Why a stage failed: a stable ``code``, and texts for people."""

    stage: str
    kind: Literal["rejected", "error"]
    code: str
    message: str
    detail: str = ""


@dataclass(frozen=True)
class StageState:
    """The state of one stage of one job, from its newest event. Times are UTC.

    ``blocks`` are the stages that cannot run after this one failed. The ``error`` of a
    skipped stage is the failure that blocked it.
    """

    status: StageStatus
    run: int
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reused: bool = False
    result: Mapping[str, Any] | None = None
    error: StageError | None = None
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One submitted image being processed: a projection of its events.

    ``wanted`` are the stages of the present run; ``stages`` may contain others from earlier runs.
    ``revision`` counts the changes of the document, from 1. ``filename`` is the client's name for
    the photo. Times are UTC.
    """

    job_id: str
    run: int
    lane: str
    status: JobStatus
    source: Mapping[str, str]
    owner: str | None
    group: str | None
    wanted: tuple[str, ...]
    metadata: Mapping[str, Any]
    idempotency_key: str | None
    force: bool
    submitted_at: datetime | None
    updated_at: datetime
    stages: Mapping[str, StageState] = field(default_factory=dict)
    error: StageError | None = None
    revision: int = 0
    filename: str | None = None


@dataclass(frozen=True)
class Submitted:
    """An image was submitted. ``wanted`` includes all stages that its stages depend on."""

    job_id: str
    run: int
    at: datetime
    source: Mapping[str, str]
    wanted: tuple[str, ...]
    lane: str = "interactive"
    owner: str | None = None
    group: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    force: bool = False
    filename: str | None = None

    @classmethod
    def of_event(cls, event: Any, at: datetime, wanted: tuple[str, ...] | None = None) -> Submitted:
        """Return the update of an `ImageSubmitted` event (a class that storage cannot import).

        ``wanted`` replaces the event's stages.
        """
        return cls(
            job_id=event.job_id,
            run=event.run,
            at=at,
            source=event.source.model_dump(exclude_none=True),
            wanted=event.stages if wanted is None else wanted,
            lane=event.lane,
            owner=event.owner,
            group=event.group,
            metadata=event.metadata,
            idempotency_key=event.idempotency_key,
            force=event.force,
            filename=event.filename,
        )


@dataclass(frozen=True)
class StageCompleted:
    """A stage produced a result. ``wanted`` are the stages of the event's run."""

    job_id: str
    run: int
    at: datetime
    stage: str
    result: Mapping[str, Any]
    wanted: tuple[str, ...]
    lane: str = "interactive"
    attempts: int = 1
    started_at: datetime | None = None
    reused: bool = False


@dataclass(frozen=True)
class StageFailure:
    """A stage failed in its last try. ``blocks`` names the stages that need its result."""

    job_id: str
    run: int
    at: datetime
    error: StageError
    wanted: tuple[str, ...]
    blocks: tuple[str, ...] = ()
    lane: str = "interactive"
    attempts: int = 1
    started_at: datetime | None = None


@dataclass(frozen=True)
class Resubmitted:
    """The sweeper published the submission again. Changes ``updated_at`` only."""

    job_id: str
    run: int
    at: datetime


@dataclass(frozen=True)
class Deleted:
    """The job was deleted. Later updates do not change it: a tombstone with id, run, lane and time
    remains."""

    job_id: str
    run: int
    at: datetime


JobUpdate = Submitted | StageCompleted | StageFailure | Resubmitted | Deleted


@dataclass(frozen=True)
class JobQuery:
    """Conditions on jobs, and a position. Order: newest ``submitted_at`` first (``updated_at`` for
    a job without it), then largest ``job_id`` first.

    A job must meet all conditions. ``type`` and ``colour`` are attributes of the caption, ``label``
    is the most probable class; case is ignored. ``needs_review`` is the caption's mark; jobs
    without a caption match neither True nor False. Caption and file name together must contain all
    words of ``text``, in any order. ``written_after`` compares the time of the last write, by the
    writer's clock, not the time of the event. Deleted jobs match only if ``statuses`` contains
    ``deleted``. ``cursor`` is the opaque value of the page before; another value raises
    `InvalidCursor`. ``limit``: 1 to 500.
    """

    statuses: frozenset[JobStatus] | None = None
    group: str | None = None
    owner: str | None = None
    type: str | None = None
    colour: str | None = None
    label: str | None = None
    sha256: str | None = None
    text: str | None = None
    needs_review: bool | None = None
    submitted_from: datetime | None = None
    submitted_before: datetime | None = None
    updated_before: datetime | None = None
    written_after: datetime | None = None
    cursor: str | None = None
    limit: int = 50

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= 500:
            raise ValueError(f"a page has 1 to 500 jobs, not {self.limit}")


@dataclass(frozen=True)
class JobPage:
    """One page of jobs; ``cursor`` is None on the last page."""

    jobs: tuple[Job, ...]
    cursor: str | None


@dataclass(frozen=True)
class JobVector:
    """The embedding of a job's photo, as written last, at ``written_at``.

    ``embedding`` is the text in the result of classification, made by ``model``. It is None if the
    job has no embedding or is deleted.
    """

    job_id: str
    written_at: datetime
    group: str | None = None
    sha256: str | None = None
    model: str | None = None
    embedding: str | None = None


@dataclass(frozen=True)
class IdempotencyRecord:
    """A request with an idempotency key: the ``fingerprint`` of its body, and its time ``at``. The
    ids of its jobs are computed from ``at``, so a repeated request gets the same ids."""

    key: str
    fingerprint: str
    at: datetime


class JobStore(Protocol):
    """Stores job documents. Every method raises `StoreUnavailable` if the store is unavailable."""

    async def apply(self, updates: Sequence[JobUpdate]) -> list[Job]:
        """Apply ``updates`` to their jobs, in order, and return the jobs that changed.

        `storage.jobs.transition.transition` computes each change. Applying the same updates again
        changes nothing. Several processes may call this at once: no update is lost.
        """

    async def get(self, job_id: str) -> Job | None:
        """Return one job, or None."""

    async def find(self, query: JobQuery) -> JobPage:
        """Return a page of jobs. If jobs are submitted between two pages, no other job is repeated
        or skipped. Raises `InvalidCursor`."""

    async def count(self, query: JobQuery, *, at_most: int) -> int:
        """Return the number of jobs that match, or ``at_most``. Ignores cursor and limit."""

    async def vectors(self, *, after: tuple[datetime, str], limit: int) -> list[JobVector]:
        """Return the vectors of at most ``limit`` jobs.

        Jobs without an embedding and deleted jobs are included, with ``embedding`` None.

        Order: by ``written_at``, then by ``job_id``. ``after`` is the pair (``written_at``,
        ``job_id``) of the last vector of the page before. A job that was written again is returned
        again. Times are by the writers' clocks, as in `JobQuery.written_after`.
        """

    async def claim_idempotency_key(
        self, request: IdempotencyRecord, *, expired: datetime
    ) -> IdempotencyRecord:
        """Return the stored record of the key of ``request`` if its time is ``expired`` or later.
        Otherwise store ``request`` and return it.

        Atomic: of two calls at the same time, one stores its record, and both return this record.
        """

    async def idempotency_record(self, key: str) -> IdempotencyRecord | None:
        """Return the stored record of ``key``, of any age, or None."""

    async def check(self) -> None:
        """Return if the store answers; raise `StoreUnavailable` with the reason."""

    async def close(self) -> None:
        """Close connections and threads."""


def group_by_job(updates: Iterable[JobUpdate]) -> dict[str, list[JobUpdate]]:
    """Return the updates of each job in order; jobs are in the order of their first update."""
    batch: dict[str, list[JobUpdate]] = {}
    for update in updates:
        batch.setdefault(update.job_id, []).append(update)
    return batch


VECTOR_FIELDS: Mapping[str, tuple[str, str]] = {
    "sha256": ("validation", "sha256"),
    "model": ("classification", "model"),
    "embedding": ("classification", "embedding"),
}
"""For each field of `JobVector`: the stage, and the field of its result."""


def job_vector(
    job_id: str, written_at: str, group: str | None, found: Mapping[str, Any]
) -> JobVector:
    """Return the vector in a row or document. ``found`` holds the values of `VECTOR_FIELDS`; a
    value that is not text counts as None."""
    texts = {name: value if isinstance(value, str) else None for name, value in found.items()}
    return JobVector(job_id, datetime.fromisoformat(written_at), group, **texts)
