"""Read a JSON body into a model, and show the model in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from gateway.http.problem_responses import invalid_request
from gateway.http.problems import Problem

JSON = "application/json"
M = TypeVar("M", bound=BaseModel)


async def read_json(request: Request, kind: type[M]) -> M:
    """Return the body as a ``kind``; an empty body is an empty object. Raises `Problem`."""
    body = await request.body()
    if body and media_type(request) != JSON:
        raise Problem("unsupported-media-type", f"send {JSON}")
    return await run_in_threadpool(parsed, body or b"{}", kind)


def media_type(request: Request) -> str:
    """Return the body's type without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def parsed(body: bytes | str, kind: type[M]) -> M:
    """Return ``body`` as a ``kind``. Raises `Problem`: `malformed-body` or `invalid-request`."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        if found[0]["type"] == "json_invalid":
            raise Problem("malformed-body", found[0]["msg"]) from None
        raise invalid_request(found) from None


def body_of(
    kind: type[BaseModel], examples: Mapping[str, Any], *, required: bool = False
) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a route that reads a ``kind``, which has no models in it."""
    shown = {name: {"value": value} for name, value in examples.items()}
    content = {JSON: {"schema": kind.model_json_schema(), "examples": shown}}
    return {"requestBody": {"required": required, "content": content}}
