"""Parse the body of `POST /v1/jobs`: a form with files, or JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, BinaryIO, ParamSpec, cast

import anyio
import anyio.to_thread
from fastapi import Request
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile

from gateway.http.json_body import JSON, media_type, parsed
from gateway.http.limits import Limits, Memory, MemoryShare
from gateway.http.problem_responses import invalid_request
from gateway.http.problems import Problem
from gateway.submissions.form import read_form
from gateway.submissions.json_photo import FIELD, JsonScanner
from gateway.submissions.options import Options
from gateway.submissions.photos import LONGEST_URL, Photo, remote, uploaded

FORM = "multipart/form-data"
TRUTH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("", "0", "false", "no", "off"), False),
}
PARSERS = 2
PHOTO_IN_MEMORY = 64_000  # bytes
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
    urls: Annotated[
        list[Annotated[str, Field(json_schema_extra=ADDRESS)]], Field(fail_fast=True)
    ] = Field(default_factory=list, description="several photos' URLs")
    image_base64: str | None = Field(
        default=None, description="one photo's bytes as base64, or as a data URL"
    )


@dataclass(frozen=True)
class SubmissionReader:
    """Reads submissions. ``memory`` limits the bytes of all bodies in memory, ``parsers`` the
    bodies that are parsed at once."""

    limits: Limits
    memory: Memory
    parsers: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(PARSERS))

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[Submission]:
        """Yield the submission in ``request``. Its files are open only within the context.

        Raises `Problem` if the request as a whole is not valid.
        """
        kind = media_type(request)
        if kind not in (FORM, JSON):
            raise Problem("unsupported-media-type", f"send {FORM} or {JSON}")
        with self.memory.share() as share:
            if kind == FORM:
                form = await read_form(request, self.limits.max_photos, share)
                try:
                    yield self._checked(await self._parse_form(form))
                finally:
                    await form.close()
            else:
                with SpooledTemporaryFile(max_size=PHOTO_IN_MEMORY) as file:
                    photo = UploadFile(cast(BinaryIO, file), size=0)
                    yield self._checked(await self._read_json(request, photo, share))

    async def _read_json(
        self, request: Request, photo: UploadFile, share: MemoryShare
    ) -> Submission:
        scanner = JsonScanner(self.limits.max_bytes, share)
        async for chunk in request.stream():
            data = scanner.feed(chunk)
            if scanner.began_again:  # the last of two equal fields counts
                raise Problem("malformed-body", f"the field {FIELD} occurs twice")
            if data:
                await photo.write(data)
        await photo.seek(0)
        return await anyio.to_thread.run_sync(
            _from_json, scanner, photo, self.limits, limiter=self.parsers
        )

    async def _parse_form(self, form: FormData) -> Submission:
        """Parse short fields on the event loop: switching to a thread would take longer."""
        if sum(len(part) for _, part in form.multi_items() if isinstance(part, str)) <= SHORT:
            return _from_form(form, self.limits)
        return await anyio.to_thread.run_sync(_from_form, form, self.limits, limiter=self.parsers)

    def _checked(self, submission: Submission) -> Submission:
        if not submission.photos:
            raise Problem("nothing-submitted", "send files, url, urls or image_base64")
        _check_number(len(submission.photos), self.limits)
        return submission


def _check_number(photos: int, limits: Limits) -> None:
    if photos > limits.max_photos:
        raise Problem("too-many-photos", f"a request may have at most {limits.max_photos} photos")


def _from_form(form: FormData, limits: Limits) -> Submission:
    files = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
    options = NO_OPTIONS if form.keys() == {"files"} else _options(form)
    return Submission(
        [
            _or_problem(uploaded, part.file, part.size or 0, limits.max_bytes, part.filename)
            for part in files
        ],
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


def _from_json(scanner: JsonScanner, photo: UploadFile, limits: Limits) -> Submission:
    asked = parsed(scanner.rest, JobRequest)
    addresses = [*([asked.url] if asked.url is not None else []), *asked.urls]
    _check_number(len(addresses), limits)
    photos = [_or_problem(remote, url) for url in addresses]
    if asked.image_base64 is not None and scanner.photo:
        size = photo.size or 0
        photos.append(
            scanner.photo.problem
            or _or_problem(uploaded, photo.file, size, limits.max_bytes, asked.filename)
        )
    return Submission(photos, asked)


def _or_problem(
    read: Callable[Given, Photo], *of: Given.args, **how: Given.kwargs
) -> Photo | Problem:
    try:
        return read(*of, **how)
    except Problem as problem:
        return problem
