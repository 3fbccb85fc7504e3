"""Turn every error into a problem document, and say so in the OpenAPI document."""

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
from storage.errors import InvalidCursor, StorageError, StoreUnavailable
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
BY_STATUS = {400: "bad-request", 404: "not-found", 405: "method-not-allowed", 413: "too-large"}


def render(problem: Problem, instance: str) -> Response:
    """Return the response for ``problem``; ``instance`` is the path it happened to."""
    document = problem.document(instance)
    return Response(
        document.model_dump_json(),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
    )


def install(app: FastAPI) -> None:
    """Answer every error that a route can raise with a problem document."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = as_problem(error)
        if problem.code == "method-not-allowed":
            problem.headers["Allow"] = ", ".join(_methods(request))
        return render(problem, request.url.path)

    for kind in HANDLED:
        app.add_exception_handler(kind, answer)


def _methods(request: Request) -> list[str]:
    """Return all methods of this address; each route knows of its own only."""
    routes = request.app.router.routes
    return [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes
        )
    ]


def as_problem(error: Exception) -> Problem:
    """Return the problem that ``error`` amounts to; what nobody foresaw is `internal-error`."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return invalid_request(error.errors())
        case HTTPException():
            code = BY_STATUS.get(error.status_code, "internal-error")
            detail = error.detail if code == "bad-request" else ""
            return Problem(code, detail, headers=error.headers)
        case ClientDisconnect():
            return Problem("bad-request", "the body ended too early")
        case InvalidCursor():
            return Problem("cursor-invalid", "take the cursor of an answer as it is")
        case StoreUnavailable() | BrokerUnavailable():
            # The reason names internal addresses: it is for the log, not for the caller.
            log.warning("dependency_unavailable", code=error.code, reason=str(error))
            return Problem(error.code, "a service behind the gateway is out of reach; try again")
        case StorageError() | StreamError() if error.code in PROBLEMS:
            return Problem(error.code, str(error))
    return Problem("internal-error", "the error is in our log under this request's X-Request-ID")


def invalid_request(errors: Sequence[Any]) -> Problem:
    """Return one problem for all that pydantic found wrong; never repeats the input."""
    found = [
        {"where": ".".join(str(part) for part in error["loc"]), "message": error["msg"]}
        for error in errors
    ]
    words = "; ".join(f"{item['where']}: {item['message']}" for item in found[:3])
    return Problem("invalid-request", words, errors=found)


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses=`` of a route that may answer with these problem codes."""
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
