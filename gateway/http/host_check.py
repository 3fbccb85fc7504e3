"""Refuse requests from pages of other sites, and requests for other host names.

Any web page can send requests from its visitor's machine. With DNS rebinding, the host name of such
a page leads to 127.0.0.1, and the page could then read everything on a local gateway.
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
    """Refuses requests for unknown host names, and changes requested by pages of other sites.

    ``names`` are the allowed hosts, None for any. Health and metrics are always allowed, because
    probes use a container's own name.
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
    """Return the host names that requests may use, or None if requests may use every name.

    The names are limited if ``host`` or the host of ``public_url`` is a loopback address. The
    latter is the case, for example, behind a port that Docker publishes on this machine.
    """
    public = urlsplit(public_url).hostname or host
    return LOOPBACK | {host, public} if is_loopback(host) or is_loopback(public) else None


def is_loopback(host: str) -> bool:
    """Tell whether an address is a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refused(names: frozenset[str] | None, method: str, headers: Headers) -> Problem | None:
    asked = headers.get("host", "")
    if names is not None and _hostname(asked) not in names:
        detail = f"{asked!r} is not a name of this gateway; set LOOKSTREAM_PUBLIC_URL to add a name"
        return Problem("host-not-allowed", detail)
    # Browsers set this header, and pages cannot change it.
    if method not in SAFE and headers.get("sec-fetch-site") == "cross-site":
        return Problem("cross-site-request", "a page of another site must not change anything")
    return None


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
