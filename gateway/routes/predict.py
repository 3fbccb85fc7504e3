"""Classify one photo while the caller waits. The photo passes through the same stages as every
job."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.http.context import traceparent
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.live.waiting import wait_for_job
from gateway.services import Gateway
from gateway.submissions.body import ADDRESS, Submission
from gateway.submissions.options import Options
from gateway.submissions.photos import remote
from gateway.views.examples import PREDICTION
from gateway.views.jobs import payload
from gateway.views.models import PredictionView
from storage.jobs.store import FINAL, Job
from streams.events.models import Classified
from streams.stages.registry import CLASSIFICATION

router = APIRouter(prefix="/v1/predict", tags=["predict"])

OPTIONS = Options(stages=["classification"])


class PredictionRequest(BaseModel):
    """A photo at a URL. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    url: str = Field(description="the photo's http(s) URL", json_schema_extra=ADDRESS)


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
    "storage-full",
    "prediction-timeout",
)


@router.post(
    "",
    response_model=PredictionView,
    responses={
        200: {
            "content": {"application/json": {"example": PREDICTION}},
            "description": "the five most likely classes",
        },
        **documented(*PREDICT_PROBLEMS),
    },
    operation_id="predict",
    summary="Classify a photo and wait for the result",
)
async def predict(
    gateway: Gateway,
    request: Request,
    asked: Annotated[
        PredictionRequest,
        Body(openapi_examples={"dress": {"value": {"url": "https://example.com/dress.jpg"}}}),
    ],
) -> PredictionView:
    """Return the photo's classes when they are ready, at most 30 seconds later."""
    submission = Submission([remote(asked.url)], OPTIONS)
    accepted = await gateway.submitter.accept(submission, traceparent=traceparent(request))
    job_id = str(accepted.entries[0])
    job = await wait_for_job(gateway.deps, request, job_id, gateway.deps.limits.predict_s)
    return _prediction(job, asked.url)


def _prediction(job: Job, url: str) -> PredictionView:
    if job.status not in FINAL:
        raise Problem("prediction-timeout", f"job {job.job_id} has not finished; read it later")
    if error := job.error:
        raise Problem("prediction-failed", f"{error.code}: {error.message} (job {job.job_id})")
    classified = payload(job, CLASSIFICATION.name, Classified)
    top5 = classified.top5 if classified else ()
    return PredictionView(
        imageUrl=url,
        top5=[each.label for each in top5],
        prob5=[each.probability for each in top5],
        job_id=job.job_id,
    )
