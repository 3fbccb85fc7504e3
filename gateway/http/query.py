"""Refuse query parameters that a route does not know.

An unknown parameter is usually a spelling mistake. If it were ignored, `?statuss=failed` would list
all jobs.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from gateway.http.problem_responses import LONGEST_PLACE, MOST_ERRORS
from gateway.http.problems import Problem


def check_query(request: Request) -> None:
    """Raise `Problem` (`unknown-parameter`) if the route does not know a query parameter."""
    route = request.scope.get("route")
    if not request.url.query or not isinstance(route, APIRoute):
        return
    known = list(dict.fromkeys(_parameters(route.dependant)))
    unknown = [name for name in dict(request.query_params) if name not in known]
    if unknown:
        accepted = f"this path accepts {', '.join(known)}" if known else "this path accepts none"
        raise Problem(
            "unknown-parameter",
            f"{_described(unknown[0][:LONGEST_PLACE], known)}; {accepted}",
            errors=[
                {"where": f"query.{name[:LONGEST_PLACE]}", "message": "unknown parameter"}
                for name in unknown[:MOST_ERRORS]
            ],
        )


def _described(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"{name!r} is no parameter" + (f" (perhaps {near[0]!r})" if near else "")


def _parameters(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        yield field.alias
    for each in dependant.dependencies:
        yield from _parameters(each)
