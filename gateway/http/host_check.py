"""Who may ask: programs, and the gateway's own pages, but no page of another site.

A web page runs on its visitor's machine, whoever wrote it. Without more it can post; and where the
gateway is reached on this machine alone, a name that its writer has led to 127.0.0.1 (DNS
rebinding) would have it read everything.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.problem_responses import render
from gateway.http.problems import Problem

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
CODES = ("cross-site-request", "host-not-allowed")
OPEN = ("/health/", "/metrics")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class HostCheck:
    """Refuse requests under a name that is not ours, and changes that another site's page asks for.

    ``names`` are hosts; None for any. Health and metrics, which probes ask for by a container's own
    name, are for everyone.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str] | None) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(OPEN):
            problem = _refused(self._names, scope["method"], Headers(scope=scope))
            if problem:
                await render(problem, scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)


def names_of(host: str, public_url: str) -> frozenset[str] | None:
    """Return the names under which the gateway is asked; None where others may reach it.

    It is on this machine alone where it is bound to loopback, and where its clients see it there,
    as behind a port that Docker publishes.
    """
    public = urlsplit(public_url).hostname or host
    return LOOPBACK | {host, public} if is_loopback(host) or is_loopback(public) else None


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refused(names: frozenset[str] | None, method: str, headers: Headers) -> Problem | None:
    asked = headers.get("host", "")
    if names is not None and _hostname(asked) not in names:
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
