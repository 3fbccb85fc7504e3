"""What the client and the command line can raise. Each has a stable ``code``.

LookstreamError
├── CannotStart          a process of ours cannot begin: port or directory in use, bad setting
│   └── UnsafeBind       the gateway would be open to others without authentication
├── NothingThere         what is to be handed over is no photo, no folder of photos, no URL
├── GatewayUnreachable   nobody answers at the gateway's address, or it broke off
│   └── NotAGateway      that is no address, or something else lives there
├── WaitTimedOut         the job is not at its end yet
└── RequestRefused       the gateway said no: ``code`` and ``status`` are its problem's
    ├── JobNotFound      there is no such job
    └── NotNow           too busy, or a store is away, for longer than we were told to wait
"""

from __future__ import annotations

from typing import Any


class LookstreamError(Exception):
    """Base of all errors of the client."""

    code = "error"


class CannotStart(LookstreamError):
    """A process of ours cannot begin; the text says what to do."""

    code = "cannot-start"


class UnsafeBind(CannotStart):
    """The gateway would be open to others without authentication."""

    code = "unsafe-bind"


class NothingThere(LookstreamError):
    """What was named is neither a readable file, nor a directory with photos, nor a URL."""

    code = "nothing-there"


class GatewayUnreachable(LookstreamError):
    """The gateway cannot be connected to, or broke off.

    ``sent`` is False when it certainly never saw the request.
    """

    code = "gateway-unreachable"

    def __init__(self, message: str, *, sent: bool = True) -> None:
        self.sent = sent
        super().__init__(message)


class NotAGateway(GatewayUnreachable):
    """The address is none, or what answers there is no gateway. Asking again will not help."""

    code = "not-a-gateway"


class WaitTimedOut(LookstreamError):
    """The time to wait is over and the job is not at its end."""

    code = "wait-timed-out"


class RequestRefused(LookstreamError):
    """The gateway answered with a problem; ``problem`` is its document."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self.problem = problem
        self.code = str(problem.get("code", "unknown"))
        self.status = int(problem.get("status", 0))
        super().__init__(f"{self.code}: {problem.get('detail') or problem.get('title', '')}")


class JobNotFound(RequestRefused):
    """There is no such job."""


class NotNow(RequestRefused):
    """The gateway cannot take it now (429, 503), and could not for as long as we kept asking.

    ``retry_after_s`` is what it asked for last.
    """

    def __init__(self, problem: dict[str, Any], retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(problem)
