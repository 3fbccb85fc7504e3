"""Serve artifacts by signed links, and accept uploads by signed links."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, BinaryIO, cast

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from gateway.http.byte_range import parse_range
from gateway.http.json_body import media_type
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.services import Gateway
from gateway.submissions.form import IN_MEMORY, ON_DISK
from gateway.views.models import StoredView
from storage.artifacts import keys
from storage.artifacts.erasure import content_hash
from storage.artifacts.links import content_disposition
from storage.artifacts.media_types import PHOTO_TYPES
from storage.artifacts.store import CHUNK, ArtifactInfo, ArtifactStore
from storage.errors import ArtifactNotFound
from storage.jobs.store import Job

# Browsers show these types. They download all others, so that no stored file runs as a page.
INLINE = PHOTO_TYPES

router = APIRouter(prefix="/v1/artifacts", tags=["artifacts"])

Key = Annotated[str, Path(description="the artifact's key", examples=["thumbnails/…/128x128.jpg"])]
Expires = Annotated[int, Query(description="when the link expires, in seconds since 1970")]
Method = Annotated[str, Query(description="what the link allows: `GET` or `PUT`")]
Filename = Annotated[
    Annotated[str, Field(max_length=1000)],
    Query(description="the name under which a browser saves the artifact"),
]
Signature = Annotated[str, Query(description="HMAC of the other parameters")]


PHOTO = {"schema": {"type": "string", "format": "binary"}}
CONTENT = dict.fromkeys(("application/octet-stream", *sorted(INLINE)), PHOTO)
READ_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "the artifact", "content": CONTENT},
    206: {"description": "the requested range", "content": CONTENT},
    304: {"description": "not changed"},
    **documented(
        "invalid-link",
        "link-expired",
        "artifact-not-found",
        "range-not-satisfiable",
        "invalid-request",
        "invalid-key",
        "store-unavailable",
    ),
}
WRITE_RESPONSES: dict[int | str, dict[str, Any]] = {
    201: {"description": "stored"},
    **documented(
        "bad-request",
        "invalid-link",
        "link-expired",
        "too-large",
        "empty-file",
        "invalid-request",
        "invalid-key",
        "store-unavailable",
        "storage-full",
    ),
}
# FastAPI has no parameter for a streamed binary body.
WRITE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": CONTENT,
    }
}


@router.get(
    "/{key:path}",
    response_class=Response,
    responses=READ_RESPONSES,
    operation_id="readArtifact",
    summary="Get an artifact",
)
@router.head("/{key:path}", include_in_schema=False)
async def read(
    gateway: Gateway,
    request: Request,
    key: Key,
    expires: Expires,
    method: Method,
    signature: Signature,
    filename: Filename = "",
) -> Response:
    """Return the artifact, or one byte range of it. An artifact never changes under its key."""
    gateway.deps.signer.verify(
        key, expires=expires, method=method, signature=signature, filename=filename
    )
    if method != "GET":
        raise Problem("invalid-link", "this link does not allow reading")
    info = await run_in_threadpool(gateway.deps.artifacts.stat, key)
    headers = _headers(info, filename)
    if request.headers.get("if-none-match") in (headers["ETag"], "*"):
        return Response(status_code=304, headers=headers)
    asked = None if _other_version(request, headers["ETag"]) else request.headers.get("range")
    part = parse_range(asked, info.size)
    offset, length = (part.offset, part.length) if part else (0, info.size)
    headers["Content-Length"] = str(length)
    if part:
        headers["Content-Range"] = part.content_range(info.size)
    status = 206 if part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    chunks = await run_in_threadpool(
        gateway.deps.artifacts.stream, key, offset=offset, length=length
    )
    return StreamingResponse(chunks, status_code=status, headers=headers)


@router.put(
    "/{key:path}",
    status_code=201,
    response_model=StoredView,
    responses=WRITE_RESPONSES,
    openapi_extra=WRITE_BODY,
    operation_id="putUpload",
    summary="Upload a photo with its link",
)
async def write(
    gateway: Gateway,
    request: Request,
    key: Key,
    expires: Expires,
    method: Method,
    signature: Signature,
) -> Response:
    """Store the body completely or not at all. Links to an S3 store can lead to the store itself.

    The link ends when the upload is complete. Sending the same bytes again is no error.
    """
    gateway.deps.signer.verify(key, expires=expires, method=method, signature=signature)
    if method != "PUT" or not key.startswith(keys.UPLOADS):
        raise Problem("invalid-link", "this link does not allow uploading")
    kind = media_type(request)
    # A client may be slow. So a thread is used only after all bytes have arrived.
    with (
        gateway.reader.memory.share() as share,
        SpooledTemporaryFile(max_size=IN_MEMORY if share.may_take(IN_MEMORY) else ON_DISK) as spool,
    ):
        body = UploadFile(cast(BinaryIO, spool), size=0)
        await _receive(request, body, gateway.deps.limits.max_bytes)
        await body.seek(0)
        if job := await gateway.deps.jobs.get(key.removeprefix(keys.UPLOADS)):
            if not await run_in_threadpool(
                _is_photo_of, job, key, body.file, gateway.deps.artifacts
            ):
                raise Problem("link-expired", "the upload is complete; ask for a new link")
            stored = StoredView(object=key, bytes=body.size or 0)
            return JSONResponse(stored.model_dump(), status_code=201)
        info = await run_in_threadpool(
            gateway.deps.artifacts.put,
            key,
            body.file,
            content_type=kind if kind in INLINE else "application/octet-stream",
        )
    stored = StoredView(object=key, bytes=info.size)
    return JSONResponse(
        stored.model_dump(), status_code=201, headers={"ETag": _headers(info)["ETag"]}
    )


async def _receive(request: Request, body: UploadFile, most: int) -> None:
    too_large = Problem(
        "too-large", f"a photo may have {most} bytes", headers={"Connection": "close"}
    )
    if int(request.headers.get("content-length", "0")) > most:
        raise too_large
    async for chunk in request.stream():
        await body.write(chunk)
        if (body.size or 0) > most:
            raise too_large
    if not body.size:
        raise Problem("empty-file", "the body is empty")


def _is_photo_of(job: Job, key: str, body: BinaryIO, artifacts: ArtifactStore) -> bool:
    """Tell whether the job already has this content: a client that got no answer repeats an upload.

    The job may exist because the store's notification or an event came first. Blocking.
    """
    sha256 = _sha256(iter(lambda: body.read(CHUNK), b""))
    if content_hash(job) == sha256:
        return True
    try:
        return _sha256(artifacts.stream(key)) == sha256
    except ArtifactNotFound:
        return False


def _sha256(chunks: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
    return found.hexdigest()


def _headers(info: ArtifactInfo, filename: str = "") -> dict[str, str]:
    safe = info.content_type in INLINE
    headers = {
        "Content-Type": info.content_type if safe else "application/octet-stream",
        "ETag": f'"{info.etag.strip(chr(34))}"',
        "Accept-Ranges": "bytes",
        # A link grants access. Browsers may cache the artifact; shared caches may not.
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if not safe:
        headers["Content-Disposition"] = "attachment"
    elif filename:
        headers["Content-Disposition"] = content_disposition(filename)
    return headers


def _other_version(request: Request, etag: str) -> bool:
    return request.headers.get("if-range", etag) != etag
