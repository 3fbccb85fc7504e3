"""Parse the body of `POST /v1/jobs`: a form with files, or JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, ParamSpec

from fastapi import Request
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from gateway.http.json_body import JSON, media_type, parsed
from gateway.http.limits import Limits
from gateway.http.problem_responses import invalid_request
from gateway.http.problems import Problem
from gateway.submissions.options import Options
from gateway.submissions.photos import LONGEST_URL, Photo, decoded, remote, uploaded

FORM = "multipart/form-data"
TRUTH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("", "0", "false", "no", "off"), False),
}
MAX_FIELDS = 100
NO_OPTIONS = Options()
SHORT = 16_000  # characters of form fields that are parsed in less than 0.1 ms
OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])

# Only for the OpenAPI document: a bad URL among many does not fail the request.
ADDRESS: dict[str, Any] = {"format": "uri", "pattern": "^https?://", "maxLength": LONGEST_URL}

Given = ParamSpec("Given")


@dataclass(frozen=True)
class Submission:
    """The photos in the order of the request, each a photo or its problem, and the options."""

    photos: Sequence[Photo | Problem]
    options: Options


class JobRequest(Options):
    """Photos by URL or as base64. Unknown fields are ignored."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"urls": ["https://example.com/dress.jpg"]}}
    )

    url: Annotated[str, Field(json_schema_extra=ADDRESS)] | None = Field(
        default=None, description="one photo's http(s) URL"
    )
    urls: list[Annotated[str, Field(json_schema_extra=ADDRESS)]] = Field(
        default_factory=list, description="several photos' URLs"
    )
    image_base64: str | None = Field(
        default=None, description="one photo's bytes as base64, or as a data URL"
    )


@asynccontextmanager
async def read_submission(request: Request, limits: Limits) -> AsyncIterator[Submission]:
    """Yield the submission in ``request``. Its files are open only within the context.

    Raises `Problem` if the request as a whole is not valid.
    """
    kind = media_type(request)
    if kind == FORM:
        form = await _form(request, limits)
        try:
            yield _checked(await _parse_form(form, limits), limits)
        finally:
            await form.close()
    elif kind == JSON:
        body = await request.body()
        yield _checked(await run_in_threadpool(_from_json, body, limits), limits)
    else:
        raise Problem("unsupported-media-type", f"send {FORM} or {JSON}")


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


async def _parse_form(form: FormData, limits: Limits) -> Submission:
    """Parse short fields on the event loop: switching to a thread would take longer."""
    if sum(len(part) for _, part in form.multi_items() if isinstance(part, str)) <= SHORT:
        return _from_form(form, limits)
    return await run_in_threadpool(_from_form, form, limits)


def _from_form(form: FormData, limits: Limits) -> Submission:
    files = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
    options = NO_OPTIONS if form.keys() == {"files"} else _options(form)
    return Submission(
        [_or_problem(uploaded, part.file, part.size or 0, limits.max_bytes) for part in files],
        options,
    )


def _options(form: FormData) -> Options:
    fields: dict[str, Any] = {
        name: text for name in ("group", "lane") if isinstance(text := form.get(name), str) and text
    }
    fields["stages"] = ",".join(part for part in form.getlist("stages") if isinstance(part, str))
    fields["metadata"] = _metadata(form.get("metadata"))
    fields["force"] = TRUTH.get(str(form.get("force", "")).lower(), "not a boolean")
    try:
        return Options.model_validate(fields)
    except ValidationError as error:
        raise invalid_request(error.errors(include_url=False, include_context=False)) from None


def _metadata(part: str | UploadFile | None) -> dict[str, Any]:
    if not part:
        return {}
    if not isinstance(part, str):
        raise invalid_request([{"loc": ("metadata",), "msg": "must be a text field, not a file"}])
    try:
        return OBJECT.validate_json(part)
    except ValidationError:
        raise invalid_request([{"loc": ("metadata",), "msg": "not a JSON object"}]) from None


def _from_json(body: bytes, limits: Limits) -> Submission:
    asked = parsed(body, JobRequest)
    addresses = [*([asked.url] if asked.url is not None else []), *asked.urls]
    photos = [_or_problem(remote, url) for url in addresses]
    if asked.image_base64 is not None:
        photos.append(_or_problem(decoded, asked.image_base64, limits.max_bytes))
    return Submission(photos, asked)


def _or_problem(
    read: Callable[Given, Photo], *of: Given.args, **how: Given.kwargs
) -> Photo | Problem:
    try:
        return read(*of, **how)
    except Problem as problem:
        return problem
