"""Where a job document has what photos are compared by, the same for every database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

# The job store's port, and the values that go in and out of it.
JobStatus = Literal["pending", "processing", "completed", "failed", "deleted"]
StageStatus = Literal["pending", "completed", "failed", "skipped"]
FINAL: frozenset[JobStatus] = frozenset({"completed", "failed", "deleted"})


@dataclass(frozen=True)
class StageError:
    """Why a stage failed: its own fault-code, and words for people."""

    stage: str
    kind: Literal["rejected", "error"]
    code: str
    message: str
    detail: str = ""


@dataclass(frozen=True)
class StageState:
    """One stage of one job, as its newest event told it. Times are UTC.

    ``blocks`` are the stages that its failure keeps from running. Of a skipped stage, ``error``
    is the failure that it was skipped for.
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

    ``wanted`` are the stages of the present run; ``stages`` may hold more, from earlier runs.
    ``revision`` counts the changes made to the document, from 1.
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


@dataclass(frozen=True)
class Submitted:
    """The image was handed over. ``wanted`` already holds every stage that others need."""

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

    @classmethod
    def of_event(cls, event: Any, at: datetime, wanted: tuple[str, ...]) -> Submitted:
        """Return the update of an `ImageSubmitted` event (a class that storage cannot import)."""
        return cls(
            job_id=event.job_id,
            run=event.run,
            at=at,
            source=event.source.model_dump(exclude_none=True),
            wanted=wanted,
            lane=event.lane,
            owner=event.owner,
            group=event.group,
            metadata=event.metadata,
            idempotency_key=event.idempotency_key,
            force=event.force,
        )


@dataclass(frozen=True)
class StageCompleted:
    """A stage has a result. ``wanted`` are the stages of the event's run."""

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
    """A stage failed for good; ``blocks`` are the stages that can no longer run."""

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
    """The sweeper published the submission again: restarts the clock, changes nothing else."""

    job_id: str
    run: int
    at: datetime


@dataclass(frozen=True)
class Deleted:
    """The owner took the job back. It stays deleted, whatever comes later: of the document only
    the id, the run and the time are left, so that late events meet it."""

    job_id: str
    run: int
    at: datetime


JobUpdate = Submitted | StageCompleted | StageFailure | Resubmitted | Deleted


@dataclass(frozen=True)
class JobQuery:
    """Which jobs, and where to go on. Order: newest ``submitted_at`` first, then ``job_id``.

    All conditions hold together. ``type``, ``colour`` and ``label`` compare without case: with the
    attributes of the caption, and with the likeliest class. ``text`` is words that the caption has
    all of, in any order. ``written_after`` goes by when the store wrote the document last, by the
    clock of who wrote it, and not by the time of the event. Deleted jobs are found only where
    ``statuses`` names them. ``cursor`` is the opaque value of the page before (`InvalidCursor` for
    any other). ``limit`` is 1 to 500.
    """

    statuses: frozenset[JobStatus] | None = None
    group: str | None = None
    owner: str | None = None
    type: str | None = None
    colour: str | None = None
    label: str | None = None
    sha256: str | None = None
    text: str | None = None
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
    """One page of jobs; ``cursor`` is None on the last."""

    jobs: tuple[Job, ...]
    cursor: str | None


@dataclass(frozen=True)
class JobVector:
    """What a job's photo is compared by, as the store wrote it last, at ``written_at``.

    ``embedding`` is the text in classification's result, made by ``model``. It is None for a job
    that has none, or none yet, and for a deleted one.
    """

    job_id: str
    written_at: datetime
    group: str | None = None
    sha256: str | None = None
    model: str | None = None
    embedding: str | None = None


@dataclass(frozen=True)
class IdempotencyRecord:
    """A request that came with an idempotency key: its body's ``fingerprint``, and the time from
    which its job ids are made, so that a repetition makes the same."""

    key: str
    fingerprint: str
    at: datetime


class JobStore(Protocol):
    """Job documents. Every method raises `StoreUnavailable` when the store is out of reach."""

    async def apply(self, updates: Sequence[JobUpdate]) -> list[Job]:
        """Fold ``updates`` into their jobs, in order, and return the jobs that changed.

        Idempotent, and safe beside other writers: each job is changed by the pure function
        `storage.jobs.transition.transition` under an optimistic check of its ``revision``.
        """

    async def get(self, job_id: str) -> Job | None:
        """Return one job, or None."""

    async def find(self, query: JobQuery) -> JobPage:
        """Return a page of jobs in stable order: nothing twice, nothing skipped, while it grows."""

    async def count(self, query: JobQuery, *, at_most: int) -> int:
        """Return how many jobs ``query`` finds (its cursor and limit aside), or ``at_most``."""

    async def vectors(self, *, after: tuple[datetime, str], limit: int) -> list[JobVector]:
        """Return what the photos of at most ``limit`` jobs are compared by, deleted jobs too.

        Order: by ``written_at``, then by ``job_id``; ``after`` is such a pair, to go on from. A job
        that is written again meanwhile comes again. The times are by the clocks of who wrote, as in
        `JobQuery.written_after`.
        """

    async def claim_idempotency_key(
        self, request: IdempotencyRecord, *, expired: datetime
    ) -> IdempotencyRecord:
        """Keep ``request``, unless one of the same key is kept that is younger than ``expired``:
        then return that one. Atomic: of two at once, one is kept and both are given it."""

    async def clear(self) -> None:
        """Drop all jobs, so that a replay of the topics can rebuild them."""

    async def check(self) -> None:
        """Return when the store answers; raise `StoreUnavailable` with the reason."""

    async def close(self) -> None:
        """Let go of connections and threads."""


# A batch of updates, job by job.
def group_by_job(updates: Iterable[JobUpdate]) -> dict[str, list[JobUpdate]]:
    """Return the updates of each job, in order; the jobs in the order of their first update."""
    batch: dict[str, list[JobUpdate]] = {}
    for update in updates:
        batch.setdefault(update.job_id, []).append(update)
    return batch


PLACES: Mapping[str, tuple[str, str]] = {
    "sha256": ("validation", "sha256"),
    "model": ("classification", "model"),
    "embedding": ("classification", "embedding"),
}
"""The stage and the field of its result, by the field of `JobVector`."""


def job_vector(
    job_id: str, written_at: str, group: str | None, found: Mapping[str, Any]
) -> JobVector:
    """Return what a row or a document tells; ``found`` is what there is at `PLACES`, and what is
    no text there is nothing."""
    texts = {name: value if isinstance(value, str) else None for name, value in found.items()}
    return JobVector(job_id, datetime.fromisoformat(written_at), group, **texts)
