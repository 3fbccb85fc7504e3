"""Hand photos over, and read what has become of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from gateway.deps import GatewayDeps
from gateway.http.context import traceparent
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.live.waiting import canonical_id, wait_for_job
from gateway.submissions.body import read_submission
from gateway.submissions.idempotency import checked_key
from gateway.submissions.schema import request_body
from gateway.submissions.submitter import Submitter
from gateway.views.examples import JOB, SUBMISSION
from gateway.views.jobs import job_view, links
from gateway.views.models import AcceptedEntry, JobView, RejectedEntry, SubmissionView

LONGEST_WAIT_S = 60

IdempotencyKey = Annotated[
    str | None,
    Header(
        description="repeat it with the same request: for 24 h the same jobs are answered",
        json_schema_extra={"minLength": 1, "maxLength": 255, "pattern": r"^[\x20-\x7e]+$"},
    ),
]


class JobRoutes:
    """`POST /v1/jobs` and `GET /v1/jobs/{job_id}`."""

    def __init__(self, deps: GatewayDeps, submitter: Submitter) -> None:
        self._deps = deps
        self._submitter = submitter

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
                    "headers": {
                        "Idempotent-Replayed": {
                            "description": "`true` when this request was answered before",
                            "schema": {"type": "string", "const": "true"},
                        }
                    },
                },
                **documented(*SUBMIT_PROBLEMS),
            },
            openapi_extra={"requestBody": request_body(self._deps.graph.names)},
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

    async def submit(self, request: Request, idempotency_key: IdempotencyKey = None) -> Response:
        """Answer at once, with one entry a photo in the order given.

        A photo that cannot be taken has an `error` in its entry and the others are accepted; where
        it is the only one, its problem is the answer.
        """
        key = checked_key(idempotency_key)
        async with read_submission(request, self._deps.limits) as submission:
            accepted = await self._submitter.accept(
                submission, key=key, traceparent=traceparent(request)
            )
        entries = accepted.entries
        if len(entries) == 1 and isinstance(entries[0], Problem):
            raise entries[0]
        body = SubmissionView(jobs=[_entry(entry, request.url.path) for entry in entries])
        headers = {"Idempotent-Replayed": "true"} if accepted.replayed else {}
        return Response(body.model_dump_json(), 202, headers, "application/json")

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
        job = await wait_for_job(self._deps, request, canonical_id(job_id), wait)
        return job_view(job, self._link)

    def _link(self, key: str) -> str:
        return self._deps.signer.sign(key, expires_s=self._deps.link_expires_s)


SUBMIT_PROBLEMS = (
    "malformed-body",
    "too-large",
    "too-many-photos",
    "event-too-large",
    "idempotency-conflict",
    "metadata-too-large",
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
