"""Errors that keep a process from starting. The client's errors are in `lookstream_client.errors`.

LookstreamError
└── CannotStart          a port or directory is in use, or a setting is wrong
    └── UnsafeBind       the gateway would be open to other machines without authentication
"""

from __future__ import annotations

from lookstream_client.errors import LookstreamError


class CannotStart(LookstreamError):
    """A process cannot start; the message says what to do."""

    code = "cannot-start"


class UnsafeBind(CannotStart):
    """The gateway would be open to other machines without authentication."""

    code = "unsafe-bind"
