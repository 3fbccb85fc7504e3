"""Parse the JSON body of `POST /v1/jobs`; FastAPI parses all others."""

from __future__ import annotations

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from gateway.http.problem_responses import invalid_request
from gateway.http.problems import Problem

JSON = "application/json"
M = TypeVar("M", bound=BaseModel)


def media_type(request: Request) -> str:
    """Return the body's type without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def parsed(body: bytes | bytearray | str, kind: type[M]) -> M:
    """Return ``body`` as a ``kind``. Raises `Problem`: `malformed-body` or `invalid-request`."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        if found[0]["type"] == "json_invalid":
            raise Problem("malformed-body", found[0]["msg"]) from None
        raise invalid_request(found) from None
