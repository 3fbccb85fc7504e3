"""Serve artifacts to whoever holds a signed link, and take uploads by one."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, BinaryIO, cast

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from gateway.deps import GatewayDeps
from gateway.http.byte_range import parse_range
from gateway.http.json_body import media_type
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.views.models import StoredView
from storage.artifacts.store import ArtifactInfo

# Shown as they are; anything else is downloaded, so that nothing stored here runs as a page.
INLINE = frozenset(
    {"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/heic"}
)

UPLOADS = "uploads/"
IN_MEMORY = 1024 * 1024

Key = Annotated[str, Path(description="the artifact's key", examples=["thumbnails/…/128x128.jpg"])]
Expires = Annotated[int, Query(description="when the link ends, seconds since 1970")]
Method = Annotated[str, Query(description="what the link allows: `GET` or `PUT`")]
Signature = Annotated[str, Query(description="HMAC over the above")]


class ArtifactRoutes:
    """`GET` and `PUT /v1/artifacts/{key}`, by links that jobs contain and uploads are given."""

    def __init__(self, deps: GatewayDeps) -> None:
        self._deps = deps

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/artifacts", tags=["artifacts"])
        router.add_api_route(
            "/{key:path}",
            self.read,
            methods=["GET"],
            response_class=Response,
            responses=_responses(),
            operation_id="readArtifact",
            summary="Read an artifact",
        )
        router.add_api_route("/{key:path}", self.read, methods=["HEAD"], include_in_schema=False)
        router.add_api_route(
            "/{key:path}",
            self.write,
            methods=["PUT"],
            status_code=201,
            response_model=StoredView,
            responses=_write_responses(),
            openapi_extra=WRITE_BODY,
            operation_id="putUpload",
            summary="Upload a photo by its link",
        )
        return router

    async def read(
        self,
        request: Request,
        key: Key,
        expires: Expires,
        method: Method,
        signature: Signature,
    ) -> Response:
        """Answer with the artifact, or one byte range of it. It never changes under its key."""
        self._deps.signer.verify(key, expires=expires, method=method, signature=signature)
        if method != "GET":
            raise Problem("invalid-link", "this link is not for reading")
        info = await run_in_threadpool(self._deps.artifacts.stat, key)
        headers = _headers(info)
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
            self._deps.artifacts.stream, key, offset=offset, length=length
        )
        return StreamingResponse(chunks, status_code=status, headers=headers)

    async def write(
        self,
        request: Request,
        key: Key,
        expires: Expires,
        method: Method,
        signature: Signature,
    ) -> Response:
        """Store the body, whole or not at all. Links to a bucket go to the bucket itself."""
        self._deps.signer.verify(key, expires=expires, method=method, signature=signature)
        if method != "PUT" or not key.startswith(UPLOADS):
            raise Problem("invalid-link", "this link is not for uploading")
        kind = media_type(request)
        # The client may be slow: a thread is taken once all bytes are here, and not before.
        with SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
            body = UploadFile(cast(BinaryIO, spool), size=0)
            await self._receive(request, body)
            await body.seek(0)
            info = await run_in_threadpool(
                self._deps.artifacts.put,
                key,
                body.file,
                content_type=kind if kind in INLINE else "application/octet-stream",
            )
        stored = StoredView(object=key, bytes=info.size)
        return JSONResponse(
            stored.model_dump(), status_code=201, headers={"ETag": _headers(info)["ETag"]}
        )

    async def _receive(self, request: Request, body: UploadFile) -> None:
        most = self._deps.limits.max_bytes
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
            raise Problem("empty-file", "the body has no bytes in it")


WRITE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def _write_responses() -> dict[int | str, dict[str, Any]]:
    return {
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
        ),
    }


def _responses() -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": "the artifact", "content": {"image/*": {}}},
        206: {"description": "the range asked for", "content": {"image/*": {}}},
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


def _headers(info: ArtifactInfo) -> dict[str, str]:
    safe = info.content_type in INLINE
    headers = {
        "Content-Type": info.content_type if safe else "application/octet-stream",
        "ETag": f'"{info.etag.strip(chr(34))}"',
        "Accept-Ranges": "bytes",
        # A link is a capability: browsers may keep what it opens, caches between may not.
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if not safe:
        headers["Content-Disposition"] = "attachment"
    return headers


def _other_version(request: Request, etag: str) -> bool:
    return request.headers.get("if-range", etag) != etag
