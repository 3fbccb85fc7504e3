"""Refuse requests from pages of other sites, and requests for other host names.

Any web page can send requests from its visitor's machine. With DNS rebinding, the host name of such
a page leads to 127.0.0.1, and the page could then read everything on a local gateway.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.problem_responses import render
from gateway.http.problems import Problem

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
CODES = ("cross-site-request", "host-not-allowed")
OPEN = ("/health/", "/metrics")
Origin = tuple[str, str, int]
PORTS = {"http": 80, "https": 443}
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class HostCheck:
    """Refuses requests for unknown host names, and changes requested by pages of other sites.

    ``names`` are the allowed hosts, None for any. ``public_url`` is the gateway's address for
    clients; a proxy may change the header ``Host``. Health and metrics are always allowed, because
    probes use a container's own name.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str] | None, public_url: str = "") -> None:
        self._app = app
        self._names = names
        self._public = _origin(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(OPEN):
            headers = Headers(scope=scope)
            problem = _unknown_host(self._names, headers) or (
                None if scope["method"] in SAFE else _other_site(self._public, headers)
            )
            if problem:
                await render(problem, scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)


def names_of(host: str, public_url: str, others: Iterable[str] = ()) -> frozenset[str] | None:
    """Return the host names that requests may use, or None if requests may use every name.

    ``public_url`` is the gateway's URL if an operator has set it, ``others`` are more names.
    Without them, a gateway that other machines can reach does not know its names.
    """
    public = urlsplit(public_url).hostname
    if public is None and not others and not is_loopback(host):
        return None
    return LOOPBACK | {name.lower() for name in (host, public, *others) if name}


def is_loopback(host: str) -> bool:
    """Tell whether an address is a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _unknown_host(names: frozenset[str] | None, headers: Headers) -> Problem | None:
    asked = headers.get("host", "")
    if names is None or _hostname(asked) in names:
        return None
    detail = (
        f"{asked!r} is not a name of this gateway; set LOOKSTREAM_PUBLIC_URL or LOOKSTREAM_HOSTS"
    )
    return Problem("host-not-allowed", detail)


def _other_site(public: Origin | None, headers: Headers) -> Problem | None:
    """Return the problem if a page of another site sent the request.

    Browsers set the headers Sec-Fetch-Site and Origin, and pages cannot change them. Old browsers,
    and all browsers on http pages, send no Sec-Fetch-Site. Other programs send neither header.
    """
    sites = {site.strip().lower() for site in headers.getlist("sec-fetch-site")}
    if sites <= {"same-origin", "none"} and all(
        _is_own(origin, public, headers.get("host", "")) for origin in headers.getlist("origin")
    ):
        return None
    return Problem("cross-site-request", "a page of another site sent this request")


def _is_own(text: str, public: Origin | None, host: str) -> bool:
    """Tell whether an origin is the host of the request, or the gateway's public address.

    A proxy may end TLS, so the scheme of the request is unknown. The function assumes the scheme of
    the origin.
    """
    origin = _origin(text)
    if origin is None:
        return False  # such as "null": a sandboxed frame, or a redirect from another site
    return origin == public or origin == _origin(f"{origin[0]}://{host}")


def _origin(url: str) -> Origin | None:
    """Return scheme, host and port of a URL, or None if one of these is missing or invalid."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return None
    if port is None or parts.hostname is None:
        return None
    return parts.scheme, parts.hostname, port


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
