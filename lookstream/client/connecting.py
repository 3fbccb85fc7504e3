"""What both transports say to httpx: addresses, bodies, time-outs, and what its errors mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from lookstream.client.exchange import Request
from lookstream.errors import GatewayUnreachable, NotAGateway

DEFAULT_GATEWAY = "http://127.0.0.1:8000"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
CHUNK = 1 << 18

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
HOPELESS = (httpx.InvalidURL, httpx.UnsupportedProtocol)


@dataclass(frozen=True)
class Route:
    """What connections to different hosts differ in."""

    trust_env: bool
    verify: bool

    @classmethod
    def to(cls, url: str) -> Route:
        """Return how to reach an address.

        A proxy set for the web at large does not lead to this machine's own loopback. Reading all
        trusted certificates takes longer than a request, and plain HTTP needs none; redirects are
        not followed, so it stays plain.
        """
        address = urlsplit(url)
        return cls(address.hostname not in LOOPBACK, address.scheme != "http")

    def options(self) -> dict[str, Any]:
        """Return the arguments of an httpx client."""
        # As many streams as the caller opens; how many at once is the caller's to say.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        return {"trust_env": self.trust_env, "verify": self.verify, "limits": limits}


@dataclass(frozen=True)
class Address:
    """Where the gateway is, and how long its answers may take."""

    base_url: str
    timeout_s: float

    @classmethod
    def of(cls, base_url: str | None, timeout_s: float) -> Address:
        """Take the address that is given, that ``LOOKSTREAM_GATEWAY`` names, or this machine's."""
        found = base_url or os.environ.get("LOOKSTREAM_GATEWAY") or DEFAULT_GATEWAY
        return cls(found.rstrip("/"), timeout_s)

    def url(self, request: Request) -> str:
        """Return a request's whole address."""
        path = request.path
        return path if "://" in path else self.base_url + path

    def options(self, request: Request, content: Any) -> dict[str, Any]:
        """Return the arguments of an httpx request; ``content`` stands for the request's."""
        options: dict[str, Any] = {
            "params": list(request.params) or None,
            "headers": {**request.headers, **_length(request.content)},
            "timeout": httpx.Timeout(self.timeout_s, read=self.timeout_s + request.patience_s),
        }
        if request.json is not None:
            options["json"] = request.json
        if request.file is not None:
            options.update(data=dict(request.fields), files={"files": ("photo", request.file)})
        if content is not None:
            options["content"] = content
        return options


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn httpx's errors into ours."""
    try:
        yield
    except HOPELESS as error:
        raise NotAGateway(f"{url} is not an address: {error}", sent=False) from error
    except httpx.HTTPError as error:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        reason = str(error) or type(error).__name__
        raise GatewayUnreachable(
            f"no answer from {origin}: {reason}", sent=not isinstance(error, NEVER_SENT)
        ) from error


def _length(content: bytes | Path | None) -> dict[str, str]:
    """Say how long a file is: a presigned upload must not be chunked."""
    return {"Content-Length": str(content.stat().st_size)} if isinstance(content, Path) else {}
