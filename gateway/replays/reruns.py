"""What processing a job once more means: pure, shared by running again and by replaying.

A job that was validated goes on from what validation found, so that its photo is neither fetched
nor opened again; any other is submitted again. The job store is told of a submission either way,
so that the sweeper finds it should the event never be published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from storage.jobs.store import Job, Submitted
from streams.events.models import ImageSubmitted, ImageValidated, Lane, Source, Validated
from streams.stages.graph import StageGraph

VALIDATION = "validation"
LAST_RUN = 2**31 - 1


@dataclass(frozen=True)
class NextRun:
    """The event that starts a job's next run, and what the job store keeps of it."""

    event: ImageValidated | ImageSubmitted
    recorded: Submitted


def next_run(
    job: Job,
    graph: StageGraph,
    at: datetime,
    *,
    stages: Sequence[str] = (),
    force: bool = False,
    lane: Lane | None = None,
    revalidate: bool = False,
) -> NextRun | None:
    """Return the job's next run; None when nothing is known of its photo.

    ``stages`` are those asked for, with all they need; without any, those of the present run.
    ``revalidate`` submits a validated photo again, which naming validation with ``force`` does
    as well. Results of the run before stay until the new ones come. Raises `UnknownStage`.
    """
    wanted = graph.closure(stages or [name for name in job.wanted if name in graph.nodes])
    run, way = job.run + 1, lane or ("bulk" if job.lane == "bulk" else "interactive")
    if run > LAST_RUN:
        return None
    validated = validation_result(job)
    again = revalidate or (force and VALIDATION in stages)
    try:
        event = (
            _from_validation(validated, job, run, way, wanted, force)
            if validated and not again
            else _from_source(validated, job, run, way, wanted, force)
        )
    except ValidationError:  # a document without a source, or one that nobody of ours wrote
        return None
    return NextRun(event, _recorded(job, event, at))


def validation_result(job: Job) -> Validated | None:
    """Return what validation found of the job's photo, if that can be read."""
    state = job.stages.get(VALIDATION)
    try:
        return Validated.model_validate(state.result) if state and state.result else None
    except ValidationError:
        return None


def _from_validation(
    validated: Validated, job: Job, run: int, lane: Lane, wanted: tuple[str, ...], force: bool
) -> ImageValidated:
    return ImageValidated(
        job_id=job.job_id,
        run=run,
        lane=lane,
        stages=wanted,
        force=force,
        reused=True,
        **validated.model_dump(),
    )


def _from_source(
    validated: Validated | None,
    job: Job,
    run: int,
    lane: Lane,
    wanted: tuple[str, ...],
    force: bool,
) -> ImageSubmitted:
    source = Source(object=validated.original) if validated else Source(**job.source)
    return ImageSubmitted.of_job(job, source=source, run=run, lane=lane, stages=wanted, force=force)


def _recorded(job: Job, event: ImageValidated | ImageSubmitted, at: datetime) -> Submitted:
    return Submitted(
        job_id=job.job_id,
        run=event.run,
        at=at,
        source=job.source,
        wanted=event.stages,
        lane=event.lane,
        owner=job.owner,
        group=job.group,
        metadata=job.metadata,
        idempotency_key=job.idempotency_key,
        force=event.force,
    )
