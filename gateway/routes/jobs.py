"""Submit photos; read, delete and rerun one job; find similar photos."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.http.context import traceparent
from gateway.http.openapi import JOB_LINKS, SUBMISSION_LINKS
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.live.waiting import canonical_id, get_job, wait_for_job
from gateway.replays.reruns import NextRun, next_run
from gateway.routes.listing import Text
from gateway.services import (
    REPLAYED,
    Gateway,
    IdempotencyKey,
    JobIdPath,
    Services,
    WaitQuery,
    replayed_header,
)
from gateway.submissions.idempotency import checked_key
from gateway.submissions.options import StageNames, stage_names
from gateway.views.examples import JOB, RUN, SIMILAR, SUBMISSION
from gateway.views.jobs import job_view, links, payload, similar_view
from gateway.views.models import (
    AcceptedEntry,
    JobView,
    RejectedEntry,
    RunView,
    SimilarListView,
    SubmissionView,
)
from storage.artifacts import erasure, keys
from storage.errors import InvalidKey
from storage.jobs.store import Deleted, Job
from streams.events.models import JobDeleted, Validated
from streams.stages.registry import VALIDATION

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

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
    "busy",
    "store-unavailable",
    "storage-full",
)
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
    "storage-full",
)


class RunRequest(BaseModel):
    """The stages to run, and whether to compute known results again."""

    model_config = ConfigDict(frozen=True, strict=True)

    stages: StageNames = Field(default_factory=list)
    force: bool = Field(default=False, description="compute known results again")


# The body has two media types and is streamed, so `gateway.http.openapi` describes it.
@router.post(
    "",
    status_code=202,
    response_model=SubmissionView,
    responses={
        202: {
            "content": {"application/json": {"example": SUBMISSION}},
            "description": "one entry per photo, in order",
            "headers": replayed_header("`true` if this request was answered before"),
            "links": SUBMISSION_LINKS,
        },
        **documented(*SUBMIT_PROBLEMS),
    },
    operation_id="submitPhotos",
    summary="Submit one photo or several",
)
async def submit(
    gateway: Gateway, request: Request, idempotency_key: IdempotencyKey = None
) -> Response:
    """Return one entry per photo, in order, without waiting for the results.

    A photo that cannot be accepted has an `error` in its entry; the others are accepted. If the
    request has only one photo, its problem is the answer.
    """
    key = checked_key(idempotency_key, request)
    async with gateway.reader.read(request) as submission:
        accepted = await gateway.submitter.accept(
            submission, key=key, traceparent=traceparent(request)
        )
    entries = accepted.entries
    if len(entries) == 1 and isinstance(entries[0], Problem):
        raise entries[0]
    body = SubmissionView(jobs=[_entry(entry, request.url.path) for entry in entries])
    headers = REPLAYED if accepted.replayed else {}
    return Response(body.model_dump_json(), 202, headers, "application/json")


@router.get(
    "/{job_id}",
    responses={
        200: {
            "content": {"application/json": {"example": JOB}},
            "description": "the job",
            "links": JOB_LINKS,
        },
        **documented("job-not-found", "invalid-request", "store-unavailable"),
    },
    operation_id="readJob",
    summary="Get a job, or wait for its end",
)
async def read(
    gateway: Gateway, request: Request, response: Response, job_id: JobIdPath, wait: WaitQuery = 0
) -> JobView:
    """Return the job: at once, or when it has finished, at most `wait` seconds later."""
    response.headers["Cache-Control"] = "no-store"
    job = await wait_for_job(gateway.deps, request, canonical_id(job_id), wait)
    return job_view(job, gateway.link)


@router.get(
    "/{job_id}/similar",
    responses={
        200: {
            "content": {"application/json": {"example": SIMILAR}},
            "description": "jobs with similar photos, best first",
        },
        **documented("job-not-found", "no-embedding", "invalid-request", "store-unavailable"),
    },
    operation_id="findSimilar",
    summary="Find similar photos",
)
async def similar(
    gateway: Gateway,
    response: Response,
    job_id: JobIdPath,
    group: Annotated[Text | None, Query(description="only jobs of this group")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="the largest number of photos")] = 12,
) -> SimilarListView:
    """Return the jobs with the most similar photos, by the embeddings of classification.

    The job itself is not included. A photo that several jobs have appears once. Embeddings of
    different models are not compared.
    """
    response.headers["Cache-Control"] = "no-store"
    job = await get_job(gateway.deps, canonical_id(job_id))
    found = await gateway.similar.to(job, limit=limit, group=group or None)
    return SimilarListView(
        jobs=[similar_view(each, similarity, gateway.link) for each, similarity in found]
    )


@router.delete(
    "/{job_id}",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "the job and its artifacts are deleted"},
        **documented("job-not-found", "store-unavailable", "storage-full"),
    },
    operation_id="deleteJob",
    summary="Delete a job and its artifacts",
)
async def delete(gateway: Gateway, job_id: JobIdPath) -> Response:
    """Delete the job, stop work on it, and delete its artifacts.

    Artifacts of a photo that another job has too are kept. Deleting again is no error, and
    completes an interrupted deletion.
    """
    jobs, artifacts = gateway.deps.jobs, gateway.deps.artifacts
    job = await jobs.get(canonical_id(job_id))
    if job is None:
        raise Problem("job-not-found", f"no job {job_id}")
    if job.status != "deleted":
        noted = await erasure.write_erasure_note(artifacts, job)
        await jobs.apply([Deleted(job.job_id, job.run, datetime.now(UTC))])
        if not noted:
            await gateway.publisher.publish([JobDeleted(job_id=job.job_id, run=job.run)])
            await erasure.erase_job(jobs, artifacts, job, gateway.deps.graph.artifacts)
    if await run_in_threadpool(artifacts.exists, keys.erasure(job.job_id)):
        # Without Kafka the job is deleted too: late events meet the store's tombstone.
        event = JobDeleted(job_id=job.job_id, run=job.run)
        published = await gateway.publisher.publish([event])
        await erasure.complete_erasure(
            jobs, artifacts, job.job_id, gateway.deps.graph.artifacts, keep_note=not published
        )
    return Response(status_code=204)


@router.post(
    "/{job_id}/runs",
    status_code=202,
    response_model=RunView,
    responses={
        202: {
            "content": {"application/json": {"example": RUN}},
            "description": "the new run",
        },
        **documented(*RUN_PROBLEMS),
    },
    operation_id="runAgain",
    summary="Process a job again",
)
async def run_again(
    gateway: Gateway,
    request: Request,
    job_id: JobIdPath,
    asked: Annotated[
        RunRequest,
        Body(
            openapi_examples={
                "all": {"value": {}},
                "some": {"value": {"stages": ["captioning"], "force": True}},
            }
        ),
    ] = RunRequest(),  # noqa: B008 - frozen
) -> Response:
    """Return the number of the new run. Results of the earlier run stay until the new results are
    ready. Without `force`, known results of the same photo and model are reused."""
    job = await get_job(gateway.deps, canonical_id(job_id))
    coming = await _next_run(gateway, job, asked)
    await gateway.publisher.record([coming.recorded])
    await gateway.publisher.publish([coming.event], traceparent(request))
    view = RunView(
        job_id=job.job_id, run=coming.event.run, status="pending", links=links(job.job_id)
    )
    return JSONResponse(view.model_dump(mode="json"), status_code=202)


async def _next_run(gateway: Services, job: Job, asked: RunRequest) -> NextRun:
    working, photo = await run_in_threadpool(_stored_copies, gateway, job)
    coming = next_run(
        job,
        gateway.deps.graph,
        datetime.now(UTC),
        stages=stage_names(asked.stages),
        force=asked.force,
        revalidate=not working,
    )
    if coming is None or not photo:
        raise Problem("nothing-to-run", f"the photo of job {job.job_id} is no longer stored")
    return coming


def _stored_copies(gateway: Services, job: Job) -> tuple[bool, bool]:
    """Tell whether the working copy is stored, and whether any copy of the photo is."""
    artifacts = gateway.deps.artifacts
    if validated := payload(job, VALIDATION.name, Validated):
        original = artifacts.exists(keys.original(validated.sha256))
        return original and artifacts.exists(keys.working(validated.sha256)), original
    if uploaded := job.source.get("object"):
        with suppress(InvalidKey):  # any producer may have named it
            return False, artifacts.exists(uploaded)
    return False, "url" in job.source


def _entry(entry: str | Problem, instance: str) -> AcceptedEntry | RejectedEntry:
    if isinstance(entry, Problem):
        return RejectedEntry(error=entry.document(instance))
    return AcceptedEntry(job_id=entry, status="pending", links=links(entry))
