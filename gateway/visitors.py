"""Who may ask a gateway that listens on this machine alone: programs here, and its own pages.

A web page from elsewhere runs on this machine too. Under a name of its own that it has led to
127.0.0.1 (DNS rebinding) it could read everything, and without one still post.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.problem_responses import render
from gateway.problems import Problem

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
CODES = ("cross-site-request", "host-not-allowed")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Visitors:
    """Refuse requests under a name that is not ours, and changes that another site's page asks for.

    ``names`` are hosts; None lets everyone in.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str] | None) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._names is not None:
            problem = _refused(self._names, scope["method"], Headers(scope=scope))
            if problem:
                await render(problem, scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)


def names_of(host: str, public_url: str) -> frozenset[str]:
    """Return the names under which a gateway bound to the loopback address ``host`` is asked."""
    return LOOPBACK | {host, urlsplit(public_url).hostname or host}


def _refused(names: frozenset[str], method: str, headers: Headers) -> Problem | None:
    asked = headers.get("host", "")
    if _hostname(asked) not in names:
        detail = f"{asked!r} is not this gateway; LOOKSTREAM_PUBLIC_URL names another address of it"
        return Problem("host-not-allowed", detail)
    # Browsers say so of themselves, and no page can unsay it.
    if method not in SAFE and headers.get("sec-fetch-site") == "cross-site":
        return Problem("cross-site-request", "another site's page may change nothing here")
    return None


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
