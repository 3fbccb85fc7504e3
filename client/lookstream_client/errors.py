"""Errors of the client and the command line. Each has a stable ``code``.

LookstreamError
├── InvalidValue         an option contains a value that JSON or UTF-8 cannot represent
├── PhotoNotFound        the input is no photo, no folder of photos and no URL
├── GatewayUnreachable   no answer from the gateway, or the connection broke
│   └── NotAGateway      the address is invalid, or another service answers there
├── WaitTimedOut         the job has not finished yet
└── RequestRefused       the gateway refused: ``code`` and ``status`` come from its problem document
    ├── JobNotFound      the job does not exist
    └── GatewayBusy      the gateway or a store stayed unavailable until retries ended
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class LookstreamError(Exception):
    """Base of all errors."""

    code = "error"


class InvalidValue(LookstreamError):
    """A value cannot be sent, for example NaN or a lone surrogate. Nothing was sent."""

    code = "invalid-value"


class PhotoNotFound(LookstreamError):
    """The input is neither a readable file, nor a directory with photos, nor a URL."""

    code = "nothing-there"


class GatewayUnreachable(LookstreamError):
    """The gateway does not accept a connection, or the connection broke.

    ``sent`` is False if the gateway certainly never received the request.
    """

    code = "gateway-unreachable"

    def __init__(self, message: str, *, sent: bool = True) -> None:
        self.sent = sent
        super().__init__(message)


class NotAGateway(GatewayUnreachable):
    """The address is invalid, or another service answers there. Retrying does not help."""

    code = "not-a-gateway"


class WaitTimedOut(LookstreamError):
    """The job has not finished within the time limit."""

    code = "wait-timed-out"


class RequestRefused(LookstreamError):
    """The gateway answered with a problem document: ``problem``."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self.problem = problem
        self.code = str(problem.get("code", "unknown"))
        self.status = int(problem.get("status", 0))
        super().__init__(f"{self.code}: {problem.get('detail') or problem.get('title', '')}")


class JobNotFound(RequestRefused):
    """The job does not exist."""


class GatewayBusy(RequestRefused):
    """The gateway stayed unavailable (429, 502, 503) for as long as the retry policy allows.

    ``retry_after_s`` is the delay that the gateway asked for last.
    """

    def __init__(self, problem: dict[str, Any], retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(problem)


@contextmanager
def encoding() -> Iterator[None]:
    """Raise `InvalidValue` if the block cannot encode a value."""
    try:
        yield
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidValue(f"a value cannot be sent: {error}") from error
