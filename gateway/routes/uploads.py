"""Upload by a presigned link: the bytes go directly to the store and then become a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import uuid_utils
from fastapi import APIRouter, Body, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.http.context import traceparent
from gateway.http.openapi import SUBMISSION_LINKS, UPLOAD_LINKS
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.live.waiting import canonical_id
from gateway.services import REPLAYED, Gateway, IdempotencyKey, Services, replayed_header
from gateway.submissions.idempotency import Key, checked_key, claim, job_id
from gateway.submissions.options import Options, plain
from gateway.submissions.submitter import submission_event
from gateway.views.examples import COMPLETED_UPLOAD, UPLOAD
from gateway.views.jobs import links
from gateway.views.models import AcceptedEntry, SubmissionView, UploadView
from storage.artifacts import keys
from storage.errors import ArtifactNotFound
from storage.jobs.store import Job, Submitted
from streams.events.models import ImageSubmitted, Source, known_lane

LINK_LIFE_S = 3600

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])


def _whole(value: object) -> object:
    """Return a whole number such as 3.0 as an int: JSON Schema does not distinguish 3.0 from 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class UploadRequest(BaseModel):
    """The upload to come. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    content_type: Annotated[str, Field(max_length=100), AfterValidator(plain)] = Field(
        default="application/octet-stream",
        pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$",
        description="the content type of the upload",
    )
    bytes: Annotated[int, Field(ge=1), BeforeValidator(_whole)] | None = Field(
        default=None,
        description="the exact size of the upload; with it, the link can lead to the bucket",
    )


NO_OPTIONS = Options()
BODY_PROBLEMS = (
    "malformed-body",
    "too-large",
    "unsupported-media-type",
    "invalid-request",
    "store-unavailable",
    "storage-full",
)
COMPLETE_PROBLEMS = (
    *BODY_PROBLEMS,
    "upload-not-found",
    "event-too-large",
    "empty-file",
    "metadata-too-large",
    "unknown-stage",
)


@router.post(
    "",
    status_code=201,
    response_model=UploadView,
    responses={
        201: {
            "content": {"application/json": {"example": UPLOAD}},
            "description": "the link for the upload, valid for one hour",
            "headers": replayed_header("`true` if the key was used before; the id is the same"),
            "links": UPLOAD_LINKS,
        },
        **documented(*BODY_PROBLEMS, "idempotency-conflict"),
    },
    operation_id="beginUpload",
    summary="Get a link to upload a photo",
)
async def begin(
    gateway: Gateway,
    request: Request,
    asked: Annotated[
        UploadRequest,
        Body(
            openapi_examples={
                "any": {"value": {}},
                "jpeg": {"value": {"content_type": "image/jpeg"}},
            }
        ),
    ] = UploadRequest(),  # noqa: B008 - frozen
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Return a link that accepts one photo by `PUT`. Nothing is stored until then.

    With an `Idempotency-Key`, a repetition within 24 h returns the same id and a new link.
    """
    most = gateway.deps.limits.max_bytes
    if asked.bytes is not None and asked.bytes > most:
        raise Problem("too-large", f"the photo has {asked.bytes} bytes; {most} are allowed")
    repeated_as = checked_key(idempotency_key, request)
    upload_id, replayed = await _upload_id(gateway, repeated_as)
    key = keys.upload(upload_id)
    expires_at = datetime.now(UTC) + timedelta(seconds=LINK_LIFE_S)
    url = await run_in_threadpool(_link, gateway, key, asked.bytes)
    view = UploadView(
        id=upload_id,
        url=url,
        headers={"Content-Type": asked.content_type},
        object=key,
        expires_at=expires_at.replace(microsecond=0),
    )
    return JSONResponse(
        view.model_dump(mode="json"),
        status_code=201,
        headers={"Cache-Control": "no-store", **(REPLAYED if replayed else {})},
    )


def _link(gateway: Services, key: str, size: int | None) -> str:
    """Return an upload link that limits the size. A bucket can only check an exact size, so a link
    without ``size`` leads to the gateway."""
    if size is None:
        return gateway.deps.signer.sign(key, expires_s=LINK_LIFE_S, method="PUT")
    store = gateway.deps.artifacts
    return store.signed_link(key, expires_s=LINK_LIFE_S, method="PUT", size=size)


async def _upload_id(gateway: Services, key: Key | None) -> tuple[str, bool]:
    """Return the upload's id, and whether an earlier request with this key has the same id."""
    now = datetime.now(UTC)
    if key is None:
        return str(uuid_utils.uuid7()), False
    kept, replayed = await claim(gateway.deps.jobs, key, "upload", now)
    return job_id(kept.key, kept.at, 0), replayed


@router.post(
    "/{upload_id}/complete",
    status_code=202,
    response_model=SubmissionView,
    responses={
        202: {
            "content": {"application/json": {"example": COMPLETED_UPLOAD}},
            "description": "the photo will be processed",
            "links": SUBMISSION_LINKS,
        },
        **documented(*COMPLETE_PROBLEMS),
    },
    operation_id="completeUpload",
    summary="Submit an uploaded photo",
)
async def complete(
    gateway: Gateway,
    request: Request,
    upload_id: Annotated[str, Path(description="as returned by `POST /v1/uploads`")],
    asked: Annotated[
        Options,
        Body(
            openapi_examples={
                "all": {"value": {}},
                "some": {"value": {"stages": ["captioning"], "group": "spring"}},
            }
        ),
    ] = NO_OPTIONS,
) -> Response:
    """Make a job with the upload's id. Repeating the request changes nothing."""
    job_id = canonical_id(upload_id, "upload-not-found")
    gateway.deps.graph.closure(asked.names)
    job = await gateway.deps.jobs.get(job_id)
    if job is not None and not _is_upload(job):
        raise Problem("upload-not-found", f"no upload {job_id}")
    if job is None:
        await run_in_threadpool(_check, gateway, job_id)
        event = _event(gateway, job_id, asked)
        await gateway.publisher.submit([event], datetime.now(UTC), traceparent(request))
        gateway.metrics.accepted(1)
    elif asked.model_fields_set:
        await _amend(gateway, job, asked, traceparent(request))
    entry = AcceptedEntry(job_id=job_id, status="pending", links=links(job_id))
    body = SubmissionView(jobs=[entry])
    return JSONResponse(body.model_dump(mode="json"), status_code=202)


def _check(gateway: Services, job_id: str) -> None:
    try:
        size = gateway.deps.artifacts.stat(keys.upload(job_id)).size
    except ArtifactNotFound:
        raise Problem("upload-not-found", f"nothing was uploaded as {job_id}") from None
    if size == 0:
        raise Problem("empty-file", "the photo has no bytes")
    if size > (most := gateway.deps.limits.max_bytes):
        raise Problem("too-large", f"the photo has {size} bytes; {most} are allowed")


async def _amend(gateway: Services, job: Job, asked: Options, trace: str | None) -> None:
    """Change the options of a job that a store notification, or an event, made first.

    Omitted options stay unchanged. Equal options change nothing.
    """
    known = Options.model_construct(
        stages=list(job.wanted),
        group=job.group,
        metadata=dict(job.metadata),
        lane=known_lane(job.lane),
        force=job.force,
        filename=job.filename,
    )
    changes = {name: getattr(asked, name) for name in asked.model_fields_set}
    event = _event(gateway, job.job_id, known.model_copy(update=changes)).model_copy(
        update={"run": job.run, "source": Source(**job.source)}
    )
    at = job.submitted_at or datetime.now(UTC)
    if await gateway.publisher.record([Submitted.of_event(event, at)]):
        await gateway.publisher.publish([event], trace)


def _event(gateway: Services, job_id: str, options: Options) -> ImageSubmitted:
    source = Source(object=keys.upload(job_id))
    wanted = gateway.deps.graph.closure(options.names)
    return submission_event(job_id, source, options, wanted, filename=options.filename)


def _is_upload(job: Job) -> bool:
    """Tell whether the job came by a link. The source of a resubmitted job is its original."""
    source = job.source.get("object", "")
    return source == keys.upload(job.job_id) or source.startswith(keys.original(""))
