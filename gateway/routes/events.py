"""Follow jobs live: Server-Sent Events."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Response

from gateway.deps import GatewayDeps
from gateway.http.metrics import Metrics
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.live.event_stream import EventStream, JobEvent, JobEventId, TimeEventId
from gateway.live.live_jobs import LiveJobs
from gateway.views.examples import JOB_EVENTS
from storage.errors import StoreUnavailable

LastHeader = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="id of the last event that arrived; EventSource sends it by itself",
    ),
]
LastQuery = Annotated[
    str | None,
    Query(alias="last_event_id", description="the same, for clients that cannot set the header"),
]
EVENT = {  # of each event, as tools that know Server-Sent Events read it
    "type": "object",
    "properties": {
        "event": {"const": "job"},
        "id": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
GROUP = r"^[^\x00-\x1f\x7f]*$"


class EventRoutes:
    """`GET /v1/jobs/{job_id}/events` and `GET /v1/events`."""

    def __init__(self, deps: GatewayDeps, metrics: Metrics) -> None:
        self._jobs = deps.jobs
        self._live = LiveJobs(deps.job_updates.feed, deps.jobs)
        metrics.sse_listeners.set_function(lambda: deps.job_updates.feed.listeners)

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1", tags=["events"])
        stream = {
            "content": {"text/event-stream": {"schema": EVENT, "example": JOB_EVENTS}},
            "description": "events as they come, each the whole state of a job",
        }
        router.add_api_route(
            "/jobs/{job_id}/events",
            self.of_job,
            methods=["GET"],
            status_code=200,
            response_class=EventStream,
            responses={
                200: stream,
                204: {"description": "the last event that arrived was the job's final state"},
                **documented("job-not-found", "invalid-request", "store-unavailable"),
            },
            operation_id="followJob",
            summary="Follow a job to its end",
        )
        router.add_api_route(
            "/events",
            self.of_group,
            methods=["GET"],
            status_code=200,
            response_class=EventStream,
            responses={200: stream, **documented("invalid-request")},
            operation_id="followJobs",
            summary="Follow many jobs",
        )
        return router

    async def of_job(
        self,
        job_id: Annotated[str, Path(description="as answered by `POST /v1/jobs`")],
        header: LastHeader = None,
        query: LastQuery = None,
    ) -> Response:
        """Send the job's state as it is, then every change, and end with `completed`, `failed` or
        `deleted`. Cut and resumed with `Last-Event-ID` it goes on from there; `204`, which keeps
        an `EventSource` from coming back, says that the end has arrived.

        A comment comes every 15 seconds when nothing else does.
        """
        job_id, since = _canonical_id(job_id), JobEventId.parse(header or query or "")
        if await self._has_heard_all(job_id, since):
            return Response(status_code=204, headers={"Cache-Control": "no-store"})
        return EventStream(self._live.follow_job(job_id, since))

    async def of_group(
        self,
        group: Annotated[
            str | None, Query(max_length=128, pattern=GROUP, description="none means all jobs")
        ] = None,
        header: LastHeader = None,
        query: LastQuery = None,
    ) -> Response:
        """Send every change from now on. Cut and resumed with `Last-Event-ID`, first send what was
        written meanwhile, each job at least once: compare `run` and `revision`, higher is newer.

        A listener that reads too slowly is told the newest state of each job only; it is cut when
        more than 1,000 jobs wait for it, and resumes. A deleted job has lost its group: every
        listener hears of it. A comment comes every 15 seconds when nothing else does.
        """
        since = TimeEventId.parse(header or query or "")
        return EventStream(self._live.follow_group(group, since))

    async def _has_heard_all(self, job_id: str, since: JobEventId | None) -> bool:
        """Tell whether ``since`` is the end of the job. Raises `Problem` where there is none."""
        try:
            job = await self._jobs.get(job_id)
        except StoreUnavailable:
            if since is None:
                raise
            return False  # it was there, and the broker tells what comes
        if job is None or (job.status == "deleted" and since is None):
            raise Problem("job-not-found", f"no job {job_id}")
        state = JobEvent.from_job(job)
        return state.final and state.event_id == since


def _canonical_id(job_id: str) -> str:
    try:
        return str(UUID(job_id))
    except ValueError:
        raise Problem("job-not-found", "a job id is a UUID") from None
