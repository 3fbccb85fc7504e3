"""What the client and the command line can raise.

LookstreamError
├── CannotStart          a process of ours cannot begin: port or directory in use, bad setting
│   └── UnsafeBind       the gateway would be open to others without authentication
├── GatewayUnreachable   nobody answers at the gateway's address
└── RequestRefused       the gateway said no: ``code`` and ``status`` of its problem document
    └── JobNotFound      there is no such job
"""

from __future__ import annotations

from typing import Any


class LookstreamError(Exception):
    """Base of all errors of the client."""


class CannotStart(LookstreamError):
    """A process of ours cannot begin; the text says what to do."""


class UnsafeBind(CannotStart):
    """The gateway would be open to others without authentication."""


class GatewayUnreachable(LookstreamError):
    """The gateway cannot be connected to, or broke off."""


class RequestRefused(LookstreamError):
    """The gateway answered with a problem; ``problem`` is its document."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self.problem = problem
        self.code = str(problem.get("code", "unknown"))
        self.status = int(problem.get("status", 0))
        super().__init__(f"{self.code}: {problem.get('detail') or problem.get('title', '')}")


class JobNotFound(RequestRefused):
    """There is no such job."""
