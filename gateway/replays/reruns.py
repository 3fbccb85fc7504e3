"""Build the event that starts the next run of a job. Pure functions.

The next run of a validated job starts from the validation result: validation does not run again.
Any other job is submitted again. In both cases the job store records a submission, so that the
sweeper can publish the event if the gateway fails before the publish.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from gateway.views.jobs import payload
from storage.artifacts import keys
from storage.jobs.store import Job, Submitted
from streams.events.models import (
    ImageSubmitted,
    ImageValidated,
    Lane,
    Source,
    Validated,
    known_lane,
    wanted_item,
)
from streams.stages.graph import StageGraph

VALIDATION = "validation"
LAST_RUN = 2**31 - 1


@dataclass(frozen=True)
class NextRun:
    """The event that starts a job's next run, and the update that records the run."""

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
    """Return the job's next run; None if the job has no readable source or no run number left.

    ``stages`` are the requested stages; the stages that they depend on are added. The default is
    the stages of the current run. ``revalidate`` validates the photo again, and so does ``force``
    with validation in ``stages``. Old results stay until new ones arrive. Raises `UnknownStage`.
    """
    wanted = graph.closure(stages or [name for name in job.wanted if name in graph.nodes])
    run, way = job.run + 1, lane or known_lane(job.lane)
    if run > LAST_RUN:
        return None
    validated = payload(job, VALIDATION, Validated)
    again = revalidate or (force and VALIDATION in stages)
    try:
        event = (
            _from_validation(validated, job, run, way, wanted, force)
            if validated and not again
            else _from_source(validated, job, run, way, wanted, force)
        )
    except ValidationError:  # no source in the job, or an unknown kind of source
        return None
    return NextRun(event, _recorded(job, event, at))


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
        wanted_item=wanted_item(job.metadata),
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
    source = Source(object=keys.original(validated.sha256)) if validated else Source(**job.source)
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
