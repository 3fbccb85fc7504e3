"""Turn every error into a problem document, and describe the problems in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from gateway.http.problems import MEDIA_TYPE, PROBLEMS, Problem
from storage.errors import (
    InvalidCursor,
    StorageError,
    StorageFull,
    StoreUnavailable,
    is_disk_full,
)
from streams.errors import BrokerUnavailable, StreamError

log = structlog.get_logger(__name__)

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
HANDLED: tuple[type[Exception], ...] = (
    Problem,
    HTTPException,
    RequestValidationError,
    StorageError,
    StreamError,
    ClientDisconnect,
)
UNPARSED = "There was an error parsing the body"
"""FastAPI's detail for a body that its JSON parser cannot handle, such as one nested too deep."""
MOST_ERRORS = 20
LONGEST_PLACE = 200
BY_STATUS = {400: "bad-request", 404: "not-found", 405: "method-not-allowed", 413: "too-large"}


def render(problem: Problem, instance: str) -> Response:
    """Return the response for ``problem``; ``instance`` is the request's path."""
    document = problem.document(instance)
    return Response(
        document.model_dump_json(),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
    )


def install(app: FastAPI) -> None:
    """Answer every error of a route with a problem document."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = _as_media_type_problem(request, error) or as_problem(error)
        if problem.code == "method-not-allowed":
            problem.headers["Allow"] = ", ".join(_methods(request))
        return render(problem, request.url.path)

    async def answer_full_disk(request: Request, error: Exception) -> Response:
        if not (isinstance(error, OSError) and is_disk_full(error)):
            raise error
        return render(as_problem(error), request.url.path)

    for kind in HANDLED:
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(OSError, answer_full_disk)


def _methods(request: Request) -> list[str]:
    """Return the methods of all routes with this path."""
    routes = request.app.router.routes
    return [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes
        )
    ]


def as_problem(error: Exception) -> Problem:
    """Return the problem for ``error``; an unexpected error is `internal-error`."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _as_body_problem(error) or invalid_request(error.errors())
        case HTTPException():
            if isinstance(error.__cause__, Problem):  # raised while FastAPI read the body
                return error.__cause__
            code = BY_STATUS.get(error.status_code, "internal-error")
            if error.detail == UNPARSED:
                return Problem("malformed-body", "the body cannot be parsed as JSON")
            detail = error.detail if code == "bad-request" else ""
            return Problem(code, detail, headers=error.headers)
        case ClientDisconnect():
            return Problem("bad-request", "the body ended too early")
        case InvalidCursor():
            return Problem("cursor-invalid", "use the cursor of an earlier answer, unchanged")
        case StorageFull():
            log.error("storage_full", reason=str(error))
            return Problem(error.code, "no space is left; an operator must make room")
        case OSError() if is_disk_full(error):  # a body is spooled to the temporary directory
            log.error("storage_full", reason=str(error))
            return Problem("storage-full", "no space is left for the request; try again later")
        case StoreUnavailable() | BrokerUnavailable():
            # The reason contains internal addresses, so only the log gets it.
            log.warning("dependency_unavailable", code=error.code, reason=str(error))
            return Problem(error.code, "a service behind the gateway is unavailable; try again")
        case StorageError() | StreamError() if error.code in PROBLEMS:
            return Problem(error.code, str(error))
    return Problem("internal-error", "the server log has the error under this X-Request-ID")


def _as_media_type_problem(request: Request, error: Exception) -> Problem | None:
    """Return the problem of a body that is not declared as JSON. FastAPI leaves such a body
    unparsed."""
    if isinstance(error, RequestValidationError) and isinstance(error.body, bytes):
        return Problem("unsupported-media-type", "send application/json")
    return None


def _as_body_problem(error: RequestValidationError) -> Problem | None:
    """Return the problem of a body that is no JSON."""
    first = error.errors()[0]
    if first.get("type") == "json_invalid":
        return Problem("malformed-body", str(first.get("ctx", {}).get("error", first["msg"])))
    return None


def invalid_request(errors: Sequence[Any]) -> Problem:
    """Return one problem for the first validation errors. It never contains the input."""
    found = [
        {"where": ".".join(map(str, _place(error["loc"])))[:LONGEST_PLACE], "message": error["msg"]}
        for error in errors[:MOST_ERRORS]
    ]
    words = "; ".join(f"{item['where']}: {item['message']}" for item in found[:3])
    return Problem("invalid-request", words, errors=found)


def _place(loc: Sequence[Any]) -> Sequence[Any]:
    """Return where an error is, without FastAPI's prefix for body fields."""
    return loc[1:] if len(loc) > 1 and loc[0] == "body" else loc


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's ``responses`` argument that documents these problem codes."""
    responses: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        kind = PROBLEMS[code]
        response = responses.setdefault(
            kind.status,
            {
                "description": "",
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": "#/components/schemas/ProblemDocument"},
                        "examples": {},
                    }
                },
            },
        )
        names = [*filter(None, response["description"].split(", ")), f"`{code}`"]
        response["description"] = ", ".join(names)
        response["content"][MEDIA_TYPE]["examples"][code] = {
            "value": Problem(code).document("/v1/…").model_dump(mode="json")
        }
        if kind.status == 503:
            response["headers"] = {
                "Retry-After": {"description": "seconds", "schema": {"type": "integer"}}
            }
    return responses
