"""Upload by a presigned link: the bytes go straight to the store, and then become a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import uuid_utils
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.deps import GatewayDeps
from gateway.http.context import traceparent
from gateway.http.json_body import JSON, body_of, read_json
from gateway.http.metrics import Metrics
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.live.waiting import canonical_id
from gateway.routes.jobs import IdempotencyKey
from gateway.submissions.idempotency import KEPT, checked_key, job_id
from gateway.submissions.options import Options, plain
from gateway.submissions.schema import options_schema
from gateway.submissions.submitter import SubmissionPublisher, submitted
from gateway.views.examples import COMPLETED_UPLOAD, UPLOAD
from gateway.views.jobs import links
from gateway.views.models import AcceptedEntry, SubmissionView, UploadView
from storage.artifacts import keys
from storage.errors import ArtifactNotFound
from storage.jobs.store import IdempotencyRecord, Job
from streams.events.models import ImageSubmitted, Source

LINK_LIFE_S = 3600
REPLAYED = {"Idempotent-Replayed": "true"}
REPLAYED_HEADER = {
    "Idempotent-Replayed": {
        "description": "`true` when the key was used before, and the id is the same",
        "schema": {"type": "string", "const": "true"},
    }
}


class UploadRequest(BaseModel):
    """What will be uploaded. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    content_type: Annotated[str, Field(max_length=100), AfterValidator(plain)] = Field(
        default="application/octet-stream",
        pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$",
        description="the type that the bytes will be sent with",
    )


class UploadRoutes:
    """`POST /v1/uploads` and `POST /v1/uploads/{upload_id}/complete`."""

    def __init__(self, deps: GatewayDeps, metrics: Metrics) -> None:
        self._deps = deps
        self._metrics = metrics
        self._announcer = SubmissionPublisher(deps, metrics)

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
        router.add_api_route(
            "",
            self.begin,
            methods=["POST"],
            status_code=201,
            response_model=UploadView,
            responses={
                201: {
                    "content": {JSON: {"example": UPLOAD}},
                    "description": "where to put the bytes, within the hour",
                    "headers": REPLAYED_HEADER,
                },
                **documented(*BODY_PROBLEMS, "idempotency-conflict"),
            },
            openapi_extra=body_of(
                UploadRequest, {"any": {}, "jpeg": {"content_type": "image/jpeg"}}
            ),
            operation_id="beginUpload",
            summary="Ask for a link to upload a photo to",
        )
        router.add_api_route(
            "/{upload_id}/complete",
            self.complete,
            methods=["POST"],
            status_code=202,
            response_model=SubmissionView,
            responses={
                202: {
                    "content": {JSON: {"example": COMPLETED_UPLOAD}},
                    "description": "the photo will be processed",
                },
                **documented(*COMPLETE_PROBLEMS),
            },
            openapi_extra=_complete_body(self._deps.graph.names),
            operation_id="completeUpload",
            summary="Submit an uploaded photo",
        )
        return router

    async def begin(self, request: Request, idempotency_key: IdempotencyKey = None) -> Response:
        """Answer with a link that takes one photo by `PUT`; nothing is kept of it until then.

        With an `Idempotency-Key` a repetition within 24 h has the same id, and a new link.
        """
        repeated_as = checked_key(idempotency_key)
        asked = await read_json(request, UploadRequest)
        upload_id, replayed = await self._upload_id(repeated_as)
        key = keys.upload(upload_id)
        expires_at = datetime.now(UTC) + timedelta(seconds=LINK_LIFE_S)
        url = await run_in_threadpool(
            self._deps.artifacts.signed_link, key, expires_s=LINK_LIFE_S, method="PUT"
        )
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

    async def _upload_id(self, key: str | None) -> tuple[str, bool]:
        """Return the upload's id, and whether an earlier request with this key had it."""
        now = datetime.now(UTC)
        if key is None:
            return str(uuid_utils.uuid7()), False
        asked = IdempotencyRecord(key, "upload", now)
        kept = await self._deps.jobs.claim_idempotency_key(asked, expired=now - KEPT)
        if kept.fingerprint != asked.fingerprint:
            raise Problem("idempotency-conflict", "take a new key for a new request")
        return job_id(key, kept.at, 0), kept != asked

    async def complete(
        self,
        request: Request,
        upload_id: Annotated[str, Path(description="as answered by `POST /v1/uploads`")],
    ) -> Response:
        """Make the upload a job of the same id. Repeating it changes nothing."""
        asked = await read_json(request, Options)
        job_id = canonical_id(upload_id, "upload-not-found")
        self._deps.graph.closure(asked.names)
        job = await self._deps.jobs.get(job_id)
        if job is not None and not _is_upload(job):
            raise Problem("upload-not-found", f"no upload {job_id}")
        if job is None:
            await run_in_threadpool(self._check, job_id)
            await self._submit(self._event(job_id, asked), request)
        elif asked.model_fields_set:
            await self._amend(job, asked, request)
        entry = AcceptedEntry(job_id=job_id, status="pending", links=links(job_id))
        body = SubmissionView(jobs=[entry])
        return JSONResponse(body.model_dump(mode="json"), status_code=202)

    def _check(self, job_id: str) -> None:
        try:
            size = self._deps.artifacts.stat(keys.upload(job_id)).size
        except ArtifactNotFound:
            raise Problem("upload-not-found", f"nothing was uploaded as {job_id}") from None
        if size == 0:
            raise Problem("empty-file", "the photo has no bytes")
        if size > (most := self._deps.limits.max_bytes):
            raise Problem("too-large", f"the photo has {size} bytes; {most} are allowed")

    async def _submit(self, event: ImageSubmitted, request: Request) -> None:
        await self._announcer.submit([event], datetime.now(UTC), traceparent(request))
        self._metrics.accepted(1)

    async def _amend(self, job: Job, asked: Options, request: Request) -> None:
        """Say more of a job that the store's own notification, or an event, made first: what is
        left out stays as it is, and what is known already changes nothing."""
        known = Options.model_construct(
            stages=list(job.wanted),
            group=job.group,
            metadata=dict(job.metadata),
            lane="bulk" if job.lane == "bulk" else "interactive",
            force=job.force,
        )
        changes = {name: getattr(asked, name) for name in asked.model_fields_set}
        event = self._event(job.job_id, known.model_copy(update=changes)).model_copy(
            update={"run": job.run, "source": Source(**job.source)}
        )
        at = job.submitted_at or datetime.now(UTC)
        if await self._announcer.record([submitted(event, at)]):
            await self._announcer.publish([event], traceparent(request))

    def _event(self, job_id: str, options: Options) -> ImageSubmitted:
        return ImageSubmitted(
            job_id=job_id,
            source=Source(object=keys.upload(job_id)),
            group=options.group,
            stages=self._deps.graph.closure(options.names),
            metadata=options.metadata,
            lane=options.lane,
            force=options.force,
        )


def _is_upload(job: Job) -> bool:
    """Tell whether the job came by a link; one that was submitted again names its original."""
    source = job.source.get("object", "")
    return source == keys.upload(job.job_id) or source.startswith(keys.original(""))


BODY_PROBLEMS = (
    "malformed-body",
    "too-large",
    "unsupported-media-type",
    "invalid-request",
    "store-unavailable",
)
COMPLETE_PROBLEMS = (
    *BODY_PROBLEMS,
    "upload-not-found",
    "event-too-large",
    "empty-file",
    "metadata-too-large",
    "unknown-stage",
)


def _complete_body(stages: tuple[str, ...]) -> dict[str, Any]:
    body = body_of(Options, {"all": {}, "some": {"stages": ["captioning"], "group": "spring"}})
    body["requestBody"]["content"][JSON]["schema"] = options_schema(Options, stages)
    return body
