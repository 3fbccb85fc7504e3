"""Lookstream: photos of garments in, listing-ready data out.

    from lookstream import Client

The client loads when it is first asked for. Beside it, this package is the composition root:
settings, wiring, command line, supervisor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookstream.client import (
        Accepted,
        AsyncClient,
        Client,
        GatewayUnreachable,
        Job,
        JobEvent,
        JobNotFound,
        LookstreamError,
        NothingThere,
        NotNow,
        Outcome,
        Patience,
        RequestRefused,
        WaitTimedOut,
    )

__all__ = [
    "Accepted",
    "AsyncClient",
    "Client",
    "GatewayUnreachable",
    "Job",
    "JobEvent",
    "JobNotFound",
    "LookstreamError",
    "NotNow",
    "NothingThere",
    "Outcome",
    "Patience",
    "RequestRefused",
    "WaitTimedOut",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lookstream' has no attribute {name!r}")
    from lookstream import client

    return getattr(client, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
