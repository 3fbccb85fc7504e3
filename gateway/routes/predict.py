"""Classify one photo while the caller waits, through the same stages as every job."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.deps import GatewayDeps
from gateway.http.context import traceparent
from gateway.http.json_body import JSON, body_of, read_json
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.live.waiting import wait_for_job
from gateway.submissions.body import ADDRESS, Submission
from gateway.submissions.options import Options
from gateway.submissions.photos import remote
from gateway.submissions.submitter import Submitter
from gateway.views.examples import PREDICTION
from gateway.views.jobs import job_view
from gateway.views.models import PredictionView
from storage.jobs.store import FINAL, Job

OPTIONS = Options(stages=["classification"])


class PredictionRequest(BaseModel):
    """Which photo. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    url: str = Field(description="the photo's http(s) address", json_schema_extra=ADDRESS)


class PredictRoutes:
    """`POST /v1/predict`."""

    def __init__(self, deps: GatewayDeps, submitter: Submitter) -> None:
        self._deps = deps
        self._submitter = submitter

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/predict", tags=["predict"])
        router.add_api_route(
            "",
            self.predict,
            methods=["POST"],
            response_model=PredictionView,
            responses={
                200: {
                    "content": {JSON: {"example": PREDICTION}},
                    "description": "the five likeliest classes",
                },
                **documented(*PREDICT_PROBLEMS),
            },
            openapi_extra=body_of(
                PredictionRequest,
                {"dress": {"url": "https://example.com/dress.jpg"}},
                required=True,
            ),
            operation_id="predict",
            summary="Classify a photo, and wait for it",
        )
        return router

    async def predict(self, request: Request) -> PredictionView:
        """Answer with the photo's classes once they are there, at most 30 seconds later."""
        asked = await read_json(request, PredictionRequest)
        submission = Submission([remote(asked.url)], OPTIONS)
        accepted = await self._submitter.accept(submission, traceparent=traceparent(request))
        job = await wait_for_job(
            self._deps, request, str(accepted.entries[0]), self._deps.limits.predict_s
        )
        return _prediction(job, asked.url)


PREDICT_PROBLEMS = (
    "malformed-body",
    "job-not-found",
    "too-large",
    "event-too-large",
    "unsupported-media-type",
    "invalid-request",
    "url-invalid",
    "url-not-allowed",
    "prediction-failed",
    "store-unavailable",
    "prediction-timeout",
)


def _prediction(job: Job, url: str) -> PredictionView:
    if job.status not in FINAL:
        raise Problem("prediction-timeout", f"job {job.job_id} is still at work; read it later")
    if error := job.error:
        raise Problem("prediction-failed", f"{error.code}: {error.message} (job {job.job_id})")
    top5 = job_view(job, lambda key: key).top5
    return PredictionView(
        imageUrl=url,
        top5=[each.label for each in top5],
        prob5=[each.probability for each in top5],
        job_id=job.job_id,
    )
