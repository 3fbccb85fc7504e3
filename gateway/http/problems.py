"""Everything the gateway can say no with, as problem documents of RFC 9457.

    Problem(code, detail)   one exception; its code picks status and title from `PROBLEMS`

Codes are stable: programs may branch on them. The stages have codes of their own, which are in a
job's ``error`` and never an HTTP status; where a code is in both places it means the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
# Some details repeat what the caller wrote, and that may be a megabyte.
LONGEST_DETAIL = 500


@dataclass(frozen=True)
class Kind:
    """What every problem of one code has in common."""

    status: int
    title: str


PROBLEMS: Mapping[str, Kind] = {
    "malformed-body": Kind(400, "The body cannot be read"),
    "bad-request": Kind(400, "The request cannot be understood"),
    "invalid-link": Kind(403, "The link is not signed for this object"),
    "link-expired": Kind(403, "The link has expired"),
    "cross-site-request": Kind(403, "Another site's page may not do this"),
    "not-found": Kind(404, "There is nothing at this address"),
    "job-not-found": Kind(404, "There is no such job"),
    "replay-not-found": Kind(404, "There is no such replay"),
    "upload-not-found": Kind(404, "There is no such upload"),
    "artifact-not-found": Kind(404, "There is no such artifact"),
    "method-not-allowed": Kind(405, "This address does not take this method"),
    "idempotency-conflict": Kind(409, "The idempotency key was used for another request"),
    "too-many-replays": Kind(409, "Too many replays wait for their turn"),
    "nothing-to-run": Kind(409, "There is no photo left to run on"),
    "no-embedding": Kind(409, "The photo has nothing to be compared by"),
    "too-large": Kind(413, "The photo or the request is too large"),
    "too-many-photos": Kind(413, "Too many photos in one request"),
    "event-too-large": Kind(413, "Kafka takes no event of this size"),
    "unsupported-media-type": Kind(415, "The body is of a type that is not taken here"),
    "range-not-satisfiable": Kind(416, "The range lies outside the artifact"),
    "host-not-allowed": Kind(421, "The request is for another host"),
    "invalid-request": Kind(422, "The request is not valid"),
    "cursor-invalid": Kind(422, "The cursor is not one of ours"),
    "metadata-too-large": Kind(422, "The metadata is too large"),
    "prediction-failed": Kind(422, "The photo cannot be classified"),
    "unknown-stage": Kind(422, "There is no such stage"),
    "topic-not-replayable": Kind(422, "No stage reads this topic"),
    "nothing-submitted": Kind(422, "The request has no photo in it"),
    "empty-file": Kind(422, "The file is empty"),
    "base64-invalid": Kind(422, "The text is not base64"),
    "url-invalid": Kind(422, "The address is not a URL"),
    "url-not-allowed": Kind(422, "The URL may not be fetched"),
    "invalid-key": Kind(422, "No artifact may have this key"),
    "internal-error": Kind(500, "Something went wrong on our side"),
    "broker-unavailable": Kind(503, "Kafka is out of reach"),
    "store-unavailable": Kind(503, "A store is out of reach"),
    "prediction-timeout": Kind(504, "The prediction took too long"),
}


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457). ``code`` is stable; ``detail`` is for people and may change."""

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
    title: str = Field(description="the same for every problem of this code")
    status: int = Field(description="the HTTP status that belongs to this code")
    detail: str = Field(description="what is wrong this time, for people")
    code: str = Field(description="stable; the table is in docs/rest.md")
    instance: str = Field(description="path of the request that it happened to")
    errors: list[dict[str, Any]] | None = Field(
        default=None,
        exclude_if=lambda errors: errors is None,
        description="what is wrong where, with `invalid-request`: `[{where, message}]`",
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
        """Return what is sent; ``instance`` is the path of the request."""
        return ProblemDocument(
            type=f"urn:lookstream:problem:{self.code}",
            title=PROBLEMS[self.code].title,
            status=self.status,
            detail=self.detail,
            code=self.code,
            instance=instance,
            errors=self.errors,
        )
