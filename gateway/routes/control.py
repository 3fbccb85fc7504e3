"""What its owner can do with a job: delete it, or have it processed again."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.deps import GatewayDeps
from gateway.http.context import traceparent
from gateway.http.json_body import body_of, read_json
from gateway.http.metrics import Metrics
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.live.waiting import canonical_id, get_job
from gateway.replays.reruns import NextRun, next_run, validation_result
from gateway.submissions.options import StageNames, stage_names
from gateway.submissions.schema import stages_schema
from gateway.submissions.submitter import SubmissionPublisher
from gateway.views.examples import RUN
from gateway.views.jobs import links
from gateway.views.models import RunView
from storage.artifacts import erasure, keys
from storage.errors import InvalidKey
from storage.jobs.store import Deleted, Job
from streams.events.models import JobDeleted

JobId = Annotated[str, Path(description="as answered by `POST /v1/jobs`")]


class RunRequest(BaseModel):
    """Which stages, and whether to compute what is known already."""

    model_config = ConfigDict(frozen=True, strict=True)

    stages: StageNames = Field(default_factory=list)
    force: bool = Field(default=False, description="compute again what is known already")


class ControlRoutes:
    """`DELETE /v1/jobs/{job_id}` and `POST /v1/jobs/{job_id}/runs`."""

    def __init__(self, deps: GatewayDeps, metrics: Metrics) -> None:
        self._deps = deps
        self._announcer = SubmissionPublisher(deps, metrics)

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])
        router.add_api_route(
            "",
            self.delete,
            methods=["DELETE"],
            status_code=204,
            response_class=Response,
            responses={
                204: {"description": "the job and its artifacts are gone"},
                **documented("job-not-found", "store-unavailable"),
            },
            operation_id="deleteJob",
            summary="Delete a job and its artifacts",
        )
        router.add_api_route(
            "/runs",
            self.run_again,
            methods=["POST"],
            status_code=202,
            response_model=RunView,
            responses={
                202: {
                    "content": {"application/json": {"example": RUN}},
                    "description": "the run that will be made",
                },
                **documented(*RUN_PROBLEMS),
            },
            openapi_extra=_run_body(self._deps.graph.names),
            operation_id="runAgain",
            summary="Process a job again",
        )
        return router

    async def delete(self, job_id: JobId) -> Response:
        """Delete the job, stop what works on it, and erase its artifacts.

        Artifacts of a photo that another job has as well stay. Deleting again is no error, and
        finishes what was interrupted.
        """
        job = await self._deps.jobs.get(canonical_id(job_id))
        if job is None:
            raise Problem("job-not-found", f"no job {job_id}")
        jobs, artifacts = self._deps.jobs, self._deps.artifacts
        if job.status != "deleted":
            await erasure.write_erasure_note(artifacts, job)
            await jobs.apply([Deleted(job.job_id, job.run, datetime.now(UTC))])
        if await run_in_threadpool(artifacts.exists, keys.erasure(job.job_id)):
            # Without Kafka the job is deleted all the same: late events find the store's tombstone.
            told = await self._announcer.publish([JobDeleted(job_id=job.job_id, run=job.run)])
            await erasure.complete_erasure(
                jobs, artifacts, job.job_id, self._deps.graph.artifacts, keep_note=not told
            )
        return Response(status_code=204)

    async def run_again(self, request: Request, job_id: JobId) -> Response:
        """Answer with the number of the new run. Results of the run before stay until the new
        ones are there; without `force`, what is known of the same photo and model is not
        computed again."""
        asked = await read_json(request, RunRequest)
        job = await get_job(self._deps, canonical_id(job_id))
        coming = await self._next_run(job, asked)
        await self._announcer.record([coming.recorded])
        await self._announcer.publish([coming.event], traceparent(request))
        view = RunView(
            job_id=job.job_id, run=coming.event.run, status="pending", links=links(job.job_id)
        )
        return JSONResponse(view.model_dump(mode="json"), status_code=202)

    async def _next_run(self, job: Job, asked: RunRequest) -> NextRun:
        stages, now = stage_names(asked.stages), datetime.now(UTC)
        working, photo = await run_in_threadpool(self._what_is_left, job)
        coming = next_run(
            job,
            self._deps.graph,
            now,
            stages=stages,
            force=asked.force,
            revalidate=not working,
        )
        if coming is None or not photo:
            raise Problem("nothing-to-run", f"the photo of job {job.job_id} is not kept any more")
        return coming

    def _what_is_left(self, job: Job) -> tuple[bool, bool]:
        """Tell whether the copy that the stages read is there, and whether there is a photo."""
        artifacts = self._deps.artifacts
        if validated := validation_result(job):
            original = artifacts.exists(validated.original)
            return original and artifacts.exists(validated.working), original
        if uploaded := job.source.get("object"):
            with suppress(InvalidKey):  # any producer may have named it
                return False, artifacts.exists(uploaded)
        return False, "url" in job.source


RUN_PROBLEMS = (
    "malformed-body",
    "job-not-found",
    "nothing-to-run",
    "too-large",
    "event-too-large",
    "unsupported-media-type",
    "invalid-request",
    "unknown-stage",
    "store-unavailable",
)


def _run_body(stages: tuple[str, ...]) -> dict[str, Any]:
    body = body_of(RunRequest, {"all": {}, "some": {"stages": ["captioning"], "force": True}})
    schema = body["requestBody"]["content"]["application/json"]["schema"]
    schema["properties"]["stages"] = stages_schema(stages)
    return body
