"""All errors of the gateway as problem documents (RFC 9457).

    Problem(code, detail)   the exception; `PROBLEMS` has the status and title of each code

Codes are stable, so programs may depend on them. Stages have their own codes, which appear in a
job's ``error`` and are no HTTP errors. A code in both places has one meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
# A detail can repeat the caller's input, which can be a megabyte.
LONGEST_DETAIL = 500


@dataclass(frozen=True)
class Kind:
    """The status and title of all problems with one code."""

    status: int
    title: str


PROBLEMS: Mapping[str, Kind] = {
    "malformed-body": Kind(400, "The body cannot be parsed"),
    "bad-request": Kind(400, "The request cannot be understood"),
    "invalid-link": Kind(403, "The link has no valid signature for this object"),
    "link-expired": Kind(403, "The link has expired"),
    "cross-site-request": Kind(403, "A page of another site requested a change"),
    "not-found": Kind(404, "This path does not exist"),
    "job-not-found": Kind(404, "There is no such job"),
    "replay-not-found": Kind(404, "There is no such replay"),
    "upload-not-found": Kind(404, "There is no such upload"),
    "artifact-not-found": Kind(404, "There is no such artifact"),
    "method-not-allowed": Kind(405, "This path does not support this method"),
    "request-timeout": Kind(408, "The request arrived too slowly"),
    "idempotency-conflict": Kind(409, "The idempotency key was used for another request"),
    "too-many-replays": Kind(409, "Too many replays are queued"),
    "nothing-to-run": Kind(409, "The photo is no longer stored"),
    "no-embedding": Kind(409, "The photo has no embedding"),
    "too-large": Kind(413, "The photo or the request is too large"),
    "too-many-photos": Kind(413, "Too many photos in one request"),
    "event-too-large": Kind(413, "The event is too large for Kafka"),
    "unsupported-media-type": Kind(415, "The content type is not supported"),
    "range-not-satisfiable": Kind(416, "The range lies outside the artifact"),
    "host-not-allowed": Kind(421, "The request is for another host"),
    "invalid-request": Kind(422, "The request is not valid"),
    "unknown-parameter": Kind(422, "A query parameter is unknown"),
    "cursor-invalid": Kind(422, "The cursor is not valid"),
    "metadata-too-large": Kind(422, "The metadata is too large"),
    "prediction-failed": Kind(422, "The photo cannot be classified"),
    "unknown-stage": Kind(422, "There is no such stage"),
    "topic-not-replayable": Kind(422, "No stage reads this topic"),
    "nothing-submitted": Kind(422, "The request has no photo"),
    "empty-file": Kind(422, "The file is empty"),
    "base64-invalid": Kind(422, "The text is not base64"),
    "url-invalid": Kind(422, "The address is not a URL"),
    "url-not-allowed": Kind(422, "The URL may not be fetched"),
    "invalid-key": Kind(422, "The key is not valid"),
    "head-too-large": Kind(431, "The request line and the headers are too large"),
    "internal-error": Kind(500, "The server has an internal error"),
    "broker-unavailable": Kind(503, "Kafka is unavailable"),
    "busy": Kind(503, "The gateway is busy"),
    "store-unavailable": Kind(503, "A store is unavailable"),
    "prediction-timeout": Kind(504, "The prediction took too long"),
    "storage-full": Kind(507, "No space is left"),
}


class ProblemDocument(BaseModel):
    """An error (RFC 9457). ``code`` is stable; ``detail`` is for people and may change."""

    model_config = ConfigDict(
        frozen=True,
        title="Problem",
        json_schema_extra={
            "example": {
                "type": "urn:lookstream:problem:job-not-found",
                "title": "There is no such job",
                "status": 404,
                "detail": "no job 01a20801-845d-768b-82dd-f448762e99cb",
                "code": "job-not-found",
                "instance": "/v1/jobs/01a20801-845d-768b-82dd-f448762e99cb",
            }
        },
    )

    type: str = Field(description="`urn:lookstream:problem:` and the code")
    title: str = Field(description="the same for all problems with this code")
    status: int = Field(description="the HTTP status of this code")
    detail: str = Field(description="what is wrong with this request, for people")
    code: str = Field(description="stable; docs/rest.md lists all codes")
    instance: str = Field(description="path of the request")
    errors: list[dict[str, Any]] | None = Field(
        default=None,
        exclude_if=lambda errors: errors is None,
        description="the fields with errors, for `invalid-request`: `[{where, message}]`",
    )


class Problem(Exception):
    """A request, or one photo of it, that cannot be served."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(detail or PROBLEMS[code].title)
        self.code = code
        self.detail = (detail or PROBLEMS[code].title)[:LONGEST_DETAIL]
        self.errors = errors
        self.headers = dict(headers or {})
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.headers.setdefault("Retry-After", str(RETRY_AFTER_S))

    @property
    def status(self) -> int:
        return PROBLEMS[self.code].status

    def document(self, instance: str) -> ProblemDocument:
        """Return the document; ``instance`` is the path of the request."""
        return ProblemDocument(
            type=f"urn:lookstream:problem:{self.code}",
            title=PROBLEMS[self.code].title,
            status=self.status,
            detail=self.detail,
            code=self.code,
            instance=instance,
            errors=self.errors,
        )
