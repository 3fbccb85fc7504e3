"""Read `POST /v1/jobs` in each of its shapes into one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ParamSpec

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from gateway.limits import Limits
from gateway.photos import Photo, decoded, remote, uploaded
from gateway.problem_responses import invalid_request
from gateway.problems import Problem

TRUE = frozenset({"1", "true", "yes", "on"})
MAX_FIELDS = 100

Given = ParamSpec("Given")


@dataclass(frozen=True)
class Submission:
    """Photos in the order they were handed over; what is wrong with one stands in its place."""

    photos: Sequence[Photo | Problem]
    stages: tuple[str, ...]
    force: bool


class JobRequest(BaseModel):
    """Photos by address or as base64. Unknown fields are ignored."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"urls": ["https://example.com/dress.jpg"]}}
    )

    url: str | None = Field(default=None, description="one photo's http(s) address")
    urls: list[str] = Field(default_factory=list, description="several photos' addresses")
    image_base64: str | None = Field(
        default=None, description="one photo's bytes as base64, or a data URL with them"
    )
    stages: list[str] | str = Field(
        default_factory=list, description="the stages wanted, with all they need; none means all"
    )
    force: bool = Field(default=False, description="compute again what is known already")


@asynccontextmanager
async def read_submission(request: Request, limits: Limits) -> AsyncIterator[Submission]:
    """Yield the submission in ``request``; its files are open within the context only.

    Raises `Problem` when the request as a whole cannot be read.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "multipart/form-data":
        form = await _form(request, limits)
        try:
            yield _checked(await run_in_threadpool(_from_form, form, limits), limits)
        finally:
            await form.close()
    elif content_type == "application/json":
        body = await request.body()
        yield _checked(await run_in_threadpool(_from_json, body, limits), limits)
    else:
        raise Problem("unsupported-media-type", "send multipart/form-data or application/json")


def _checked(submission: Submission, limits: Limits) -> Submission:
    if not submission.photos:
        raise Problem("nothing-submitted", "send files, url, urls or image_base64")
    if len(submission.photos) > limits.max_photos:
        raise Problem("too-many-photos", f"at most {limits.max_photos} photos fit one request")
    return submission


async def _form(request: Request, limits: Limits) -> FormData:
    try:
        return await request.form(max_files=limits.max_photos, max_fields=MAX_FIELDS)
    except HTTPException as error:
        code = "too-many-photos" if "Too many files" in error.detail else "malformed-body"
        raise Problem(code, error.detail) from None


def _from_form(form: FormData, limits: Limits) -> Submission:
    files = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
    return Submission(
        photos=[
            _or_problem(uploaded, part.file, part.size or 0, limits.max_bytes) for part in files
        ],
        stages=_names(part for part in form.getlist("stages") if isinstance(part, str)),
        force=str(form.get("force", "")).lower() in TRUE,
    )


def _from_json(body: bytes, limits: Limits) -> Submission:
    try:
        asked = JobRequest.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        if found[0]["type"] == "json_invalid":
            raise Problem("malformed-body", found[0]["msg"]) from None
        raise invalid_request(found) from None
    addresses = [*([asked.url] if asked.url is not None else []), *asked.urls]
    photos = [_or_problem(remote, url) for url in addresses]
    if asked.image_base64 is not None:
        photos.append(_or_problem(decoded, asked.image_base64, limits.max_bytes))
    stages = [asked.stages] if isinstance(asked.stages, str) else asked.stages
    return Submission(photos, _names(stages), asked.force)


def _or_problem(
    read: Callable[Given, Photo], *of: Given.args, **how: Given.kwargs
) -> Photo | Problem:
    try:
        return read(*of, **how)
    except Problem as problem:
        return problem


def _names(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())
