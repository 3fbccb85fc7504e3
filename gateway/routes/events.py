"""Follow jobs live: Server-Sent Events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.live.event_stream import EventStream, JobEvent, JobEventId, TimeEventId
from gateway.live.waiting import canonical_id
from gateway.services import Gateway, JobIdPath, Services
from gateway.views.examples import JOB_EVENTS
from storage.errors import StoreUnavailable

router = APIRouter(prefix="/v1", tags=["events"])

LastHeader = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="id of the last received event; `EventSource` sends it automatically",
    ),
]
LastQuery = Annotated[
    str | None,
    Query(
        alias="last_event_id", description="the same as the header, for clients that cannot set it"
    ),
]
EVENT = {  # one event, as tools for Server-Sent Events describe it
    "type": "object",
    "properties": {
        "event": {"const": "job"},
        "id": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
GROUP = r"^[^\x00-\x1f\x7f]*$"


STREAM: dict[str, Any] = {
    "content": {"text/event-stream": {"schema": EVENT, "example": JOB_EVENTS}},
    "description": "events, each with the complete state of a job",
}


@router.get(
    "/jobs/{job_id}/events",
    status_code=200,
    response_class=EventStream,
    responses={
        200: STREAM,
        204: {"description": "the client has already received the job's final state"},
        **documented("job-not-found", "invalid-request", "store-unavailable"),
    },
    operation_id="followJob",
    summary="Follow a job until its end",
)
async def follow_job(
    gateway: Gateway, job_id: JobIdPath, header: LastHeader = None, query: LastQuery = None
) -> Response:
    """Send the job's current state, then every change, until `completed`, `failed` or `deleted`.

    With `Last-Event-ID`, a broken stream continues after that event. `204` means that the client
    has received the final state; it stops an `EventSource` from reconnecting. A comment is sent
    after 15 seconds without an event.
    """
    job_id, since = canonical_id(job_id), JobEventId.parse(header or query or "")
    if await _has_ended(gateway, job_id, since):
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    return EventStream(gateway.live.follow_job(job_id, since))


@router.get(
    "/events",
    status_code=200,
    response_class=EventStream,
    responses={200: STREAM, **documented("invalid-request")},
    operation_id="followJobs",
    summary="Follow many jobs",
)
async def follow_jobs(
    gateway: Gateway,
    group: Annotated[
        str | None, Query(max_length=128, pattern=GROUP, description="without it, all jobs")
    ] = None,
    header: LastHeader = None,
    query: LastQuery = None,
) -> Response:
    """Send every change from now on. With `Last-Event-ID`, first send the changes since then, each
    job at least once. Compare `run` and `revision`: higher is newer.

    A slow listener receives only the newest state of each job. The stream ends if more than 1,000
    jobs wait for the listener, which can then resume. A deleted job has no group, so every listener
    receives its deletion. A comment is sent after 15 seconds without an event.
    """
    since = TimeEventId.parse(header or query or "")
    return EventStream(gateway.live.follow_group(group, since))


async def _has_ended(gateway: Services, job_id: str, since: JobEventId | None) -> bool:
    """Tell whether ``since`` is the job's final state. Raises `Problem` if there is no such job."""
    try:
        job = await gateway.deps.jobs.get(job_id)
    except StoreUnavailable:
        if since is None:
            raise
        return False  # the job existed, and the broker reports its changes
    if job is None or (job.status == "deleted" and since is None):
        raise Problem("job-not-found", f"no job {job_id}")
    state = JobEvent.from_job(job)
    return state.final and state.event_id == since
