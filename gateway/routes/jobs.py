"""Hand photos over, and read what has become of them."""

from __future__ import annotations

import re
from time import monotonic
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from gateway.deps import GatewayDeps
from gateway.examples import JOB, SUBMISSION
from gateway.intake import JobRequest, read_submission
from gateway.metrics import Metrics
from gateway.models import AcceptedEntry, JobView, RejectedEntry, SubmissionView
from gateway.problem_responses import documented
from gateway.problems import Problem
from gateway.submitter import Submitter
from gateway.views import job_view, links
from storage.jobs import FINAL, Job

# The follower may miss a change while Kafka is away, so a long poll looks for itself as well.
REREAD_S = 1.0
LONGEST_WAIT_S = 60

TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

MULTIPART_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["files"],
    "properties": {
        "files": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": "one photo or many",
        },
        "stages": {
            "type": "array",
            "items": {"type": "string"},
            "description": "the stages wanted, repeated or comma-separated; none means all",
        },
        "force": {"type": "boolean", "default": False},
    },
}


class JobRoutes:
    """`POST /v1/jobs` and `GET /v1/jobs/{job_id}`."""

    def __init__(self, deps: GatewayDeps, metrics: Metrics) -> None:
        self._deps = deps
        self._metrics = metrics
        self._submitter = Submitter(deps, metrics)

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
        router.add_api_route(
            "",
            self.submit,
            methods=["POST"],
            status_code=202,
            response_model=SubmissionView,
            responses={
                202: {
                    "content": {"application/json": {"example": SUBMISSION}},
                    "description": "one entry a photo, in order",
                },
                **documented(*SUBMIT_PROBLEMS),
            },
            openapi_extra={"requestBody": _request_body()},
            operation_id="submitPhotos",
            summary="Hand over one photo or many",
        )
        router.add_api_route(
            "/{job_id}",
            self.read,
            methods=["GET"],
            response_model=JobView,
            responses={
                200: {
                    "content": {"application/json": {"example": JOB}},
                    "description": "the job as it is",
                },
                **documented("job-not-found", "invalid-request", "store-unavailable"),
            },
            operation_id="readJob",
            summary="Read a job, or wait for its end",
        )
        return router

    async def submit(self, request: Request) -> Response:
        """Answer at once, with one entry a photo in the order given.

        A photo that cannot be taken has an `error` in its entry and the others are accepted; where
        it is the only one, its problem is the answer.
        """
        traceparent = request.headers.get("traceparent", "")
        async with read_submission(request, self._deps.limits) as submission:
            entries = await self._submitter.accept(
                submission, traceparent if TRACEPARENT.fullmatch(traceparent) else None
            )
        if len(entries) == 1 and isinstance(entries[0], Problem):
            raise entries[0]
        body = SubmissionView(jobs=[_entry(entry, request.url.path) for entry in entries])
        return JSONResponse(body.model_dump(mode="json"), status_code=202)

    async def read(
        self,
        request: Request,
        response: Response,
        job_id: Annotated[str, Path(description="as answered by `POST /v1/jobs`")],
        wait: Annotated[
            float,
            Query(
                ge=0,
                le=LONGEST_WAIT_S,
                allow_inf_nan=False,
                description="seconds to wait for the job to be completed or failed",
            ),
        ] = 0,
    ) -> JobView:
        """Answer with the job as it is, or as it is at its end when that comes within `wait`."""
        response.headers["Cache-Control"] = "no-store"
        job = await self._wait(request, _canonical(job_id), wait)
        return job_view(job, self._link)

    def _link(self, key: str) -> str:
        return self._deps.signer.sign(key, expires_s=self._deps.link_expires_s)

    async def _wait(self, request: Request, job_id: str, wait_s: float) -> Job:
        deadline = monotonic() + wait_s
        with self._deps.follower.watch(job_id) as watch:
            while True:
                job = await self._deps.jobs.get(job_id)
                if job is None:
                    raise Problem("job-not-found", f"no job {job_id}")
                left = deadline - monotonic()
                if job.status in FINAL or left <= 0 or await request.is_disconnected():
                    return job
                await watch.changed(min(left, REREAD_S))


SUBMIT_PROBLEMS = (
    "malformed-body",
    "too-large",
    "too-many-photos",
    "unsupported-media-type",
    "invalid-request",
    "unknown-stage",
    "nothing-submitted",
    "empty-file",
    "base64-invalid",
    "url-invalid",
    "url-not-allowed",
    "store-unavailable",
)


def _entry(entry: str | Problem, instance: str) -> AcceptedEntry | RejectedEntry:
    if isinstance(entry, Problem):
        return RejectedEntry(error=entry.document(instance))
    return AcceptedEntry(job_id=entry, status="pending", links=links(entry))


def _canonical(job_id: str) -> str:
    try:
        return str(UUID(job_id))
    except ValueError:
        raise Problem("job-not-found", "a job id is a UUID") from None


def _request_body() -> dict[str, Any]:
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": MULTIPART_SCHEMA},
            "application/json": {
                "schema": JobRequest.model_json_schema(),
                "examples": {
                    "one": {"value": {"url": "https://example.com/dress.jpg"}},
                    "many": {
                        "value": {
                            "urls": ["https://example.com/1.jpg", "https://example.com/2.jpg"],
                            "stages": ["captioning", "thumbnailing"],
                        }
                    },
                    "inline": {"value": {"image_base64": "/9j/4AAQSkZJRgABAQ…"}},
                },
            },
        },
    }
