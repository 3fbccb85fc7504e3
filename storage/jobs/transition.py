"""How an update changes a job: a pure function.

Updates may be repeated and out of order. So the order of the updates does not decide between two
states of a stage in the same run: a completion replaces a failure, and a newer failure replaces an
older one. Skipped stages, the job's status and its error are derived from the states of the stages.
A deletion replaces everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from storage.jobs.store import (
    Deleted,
    Job,
    JobStatus,
    JobUpdate,
    Resubmitted,
    StageCompleted,
    StageError,
    StageFailure,
    StageState,
    Submitted,
)

MOST_STAGES = 200
"""Largest number of stages of a job. The state of a further stage is ignored, because the document
of a job must fit into a database. No installation has that many stages."""


def transition(job: Job | None, update: JobUpdate) -> Job | None:
    """Return ``job`` after ``update``; the same object if the update changes nothing.

    An update of a lower run is ignored. An update of a higher run starts that run, with the
    update's ``wanted`` stages. A stage keeps its old state until the new run reports a state, and
    its old result until there is a new result, even if the new run fails. A stage's event may
    arrive before the submission. A deletion leaves a tombstone, even of an unknown job. No later
    update changes a tombstone. Returns None only for a `Resubmitted` of an unknown job. Does not
    read the clock.
    """
    if job is not None and job.status == "deleted":
        return job
    if isinstance(update, Deleted):
        return _tombstone(job, update)
    if isinstance(update, Resubmitted):
        return _resubmitted(job, update)
    if job is not None and update.run < job.run:
        return job
    after = _at_run(job, update)
    if isinstance(update, Submitted):
        after = _submitted(after, update)
    else:
        after = _with_stage(after, *_stage_state(update))
    after = _derived(after)
    if after == job:
        return job
    revision = 1 if job is None else job.revision + 1
    return replace(after, updated_at=max(after.updated_at, update.at), revision=revision)


def fold(job: Job | None, updates: Iterable[JobUpdate]) -> Job | None:
    """Return ``job`` after all ``updates``, in order."""
    for update in updates:
        job = transition(job, update)
    return job


def _resubmitted(job: Job | None, update: Resubmitted) -> Job | None:
    if job is None or update.run < job.run or update.at <= job.updated_at:
        return job
    return replace(job, updated_at=update.at, revision=job.revision + 1)


def _tombstone(job: Job | None, update: Deleted) -> Job:
    """Return the remains of a deleted job: id, run, lane, time and revision."""
    return Job(
        job_id=update.job_id,
        run=update.run if job is None else max(job.run, update.run),
        lane="interactive" if job is None else job.lane,
        status="deleted",
        source={},
        owner=None,
        group=None,
        wanted=(),
        metadata={},
        idempotency_key=None,
        force=False,
        submitted_at=None,
        updated_at=update.at if job is None else max(job.updated_at, update.at),
        revision=1 if job is None else job.revision + 1,
    )


def _at_run(job: Job | None, update: Submitted | StageCompleted | StageFailure) -> Job:
    """Return the job at the update's run; create the job if it is unknown."""
    if job is not None:
        if update.run == job.run:
            return job
        return replace(job, run=update.run, wanted=update.wanted, lane=update.lane)
    return Job(
        job_id=update.job_id,
        run=update.run,
        lane=update.lane,
        status="pending",
        source={},
        owner=None,
        group=None,
        wanted=update.wanted,
        metadata={},
        idempotency_key=None,
        force=False,
        submitted_at=None,
        updated_at=update.at,
    )


def _submitted(job: Job, update: Submitted) -> Job:
    """Fill in the fields of a submission. A field that the submission lacks keeps its value.

    A later submission does not change source, owner and group, because any producer can name the id
    of another client's job (`_may_group` is the only exception). ``submitted_at`` stays too, so
    that a replayed job keeps its position in listings.
    """
    first = job.submitted_at is None
    return replace(
        job,
        lane=update.lane,
        source=job.source if job.source and not first else update.source or job.source,
        owner=update.owner if first else job.owner,
        group=update.group if first or _may_group(job, update) else job.group,
        wanted=update.wanted,
        metadata=update.metadata or job.metadata,
        idempotency_key=update.idempotency_key or job.idempotency_key,
        force=update.force,
        submitted_at=job.submitted_at or update.at,
        filename=job.filename or update.filename,
    )


def _may_group(job: Job, update: Submitted) -> bool:
    """Tell whether a later submission may give the job its group: once, for an upload by link.

    The store's notification of an upload can submit it before its client sends the group.
    """
    uploaded = {"object": f"uploads/{job.job_id}"}
    return job.group is None and job.source == update.source == uploaded


def _stage_state(update: StageCompleted | StageFailure) -> tuple[str, StageState]:
    if isinstance(update, StageCompleted):
        return update.stage, StageState(
            status="completed",
            run=update.run,
            attempts=update.attempts,
            started_at=update.started_at,
            finished_at=update.at,
            reused=update.reused,
            result=update.result,
        )
    return update.error.stage, StageState(
        status="failed",
        run=update.run,
        attempts=update.attempts,
        started_at=update.started_at,
        finished_at=update.at,
        error=update.error,
        blocks=update.blocks,
    )


def _with_stage(job: Job, stage: str, state: StageState) -> Job:
    known = job.stages.get(stage)
    if not _supersedes(state, known) or (known is None and len(job.stages) >= MOST_STAGES):
        return job
    if known is not None and state.result is None:
        state = replace(
            state, result=known.result
        )  # an earlier run's result, until there is a new one
    return replace(job, stages={**job.stages, stage: state})


def _supersedes(state: StageState, known: StageState | None) -> bool:
    if known is None or known.run < state.run:
        return True
    if known.run > state.run or known.status == "completed":
        return False
    if state.status == "completed" or known.status != "failed":
        return True
    return _later(state, known)


def _later(state: StageState, known: StageState) -> bool:
    """Tell whether ``state`` is the newer failure; compare texts if the times are equal."""
    if state.finished_at is None or known.finished_at is None or state.error is None:
        return False
    if state.finished_at != known.finished_at:
        return state.finished_at > known.finished_at
    return _texts(state.error) > _texts(known.error)


def _texts(error: StageError | None) -> tuple[str, ...]:
    return () if error is None else (error.code, error.message, error.detail)


def _derived(job: Job) -> Job:
    """Return the job with skipped stages, status and error derived from its stages' states."""
    own = {
        stage: state
        for stage, known in job.stages.items()
        if (state := _unskipped(job, known)) is not None
    }
    stages = {**own, **_skipped(job, own)}
    status = _status(job, stages)
    error = _first_error(job, stages) if status == "failed" else None
    return replace(job, stages=stages, status=status, error=error)


def _unskipped(job: Job, state: StageState) -> StageState | None:
    """Return ``state`` unless the stage was skipped in this run. For a skipped stage with an
    earlier result, return a completed state with this result; without a result, return None."""
    if state.run < job.run or state.status != "skipped":
        return state
    if state.result is None:
        return None
    return StageState("completed", state.run - 1, result=state.result)


def _skipped(job: Job, own: Mapping[str, StageState]) -> dict[str, StageState]:
    """Return the wanted stages that did not run because a stage of this run failed."""
    order = [*job.wanted, *sorted(set(own) - set(job.wanted))]
    skipped: dict[str, StageState] = {}
    for culprit in (own[stage] for stage in order if stage in own):
        if culprit.run != job.run or culprit.status != "failed":
            continue
        for stage in culprit.blocks:
            settled = stage in skipped or (stage in own and own[stage].run == job.run)
            if stage in job.wanted and not settled:
                skipped[stage] = StageState(
                    "skipped",
                    job.run,
                    finished_at=culprit.finished_at,
                    error=culprit.error,
                    result=own[stage].result if stage in own else None,
                )
    return skipped


def _status(job: Job, stages: Mapping[str, StageState]) -> JobStatus:
    states = [
        stages[stage].status
        for stage in job.wanted
        if stage in stages and stages[stage].run == job.run
    ]
    if not states:
        return "pending"
    if len(states) < len(job.wanted):
        return "processing"
    if all(status == "completed" for status in states):
        return "completed"
    return "failed" if "failed" in states else "processing"


def _first_error(job: Job, stages: Mapping[str, StageState]) -> StageError | None:
    return next(
        (
            stages[stage].error
            for stage in job.wanted
            if stages[stage].run == job.run and stages[stage].status == "failed"
        ),
        None,
    )
