"""The composition root: settings, wiring, the server's commands and the supervisor.

Start with `settings`, `wiring` (builds every object) or `cli`. `stages` and `testing` are for
authors of stages. The client's public names are re-exported here from `lookstream_client`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookstream_client import (
        Accepted,
        AsyncClient,
        Client,
        GatewayBusy,
        GatewayUnreachable,
        Job,
        JobEvent,
        JobNotFound,
        LookstreamError,
        Outcome,
        PhotoNotFound,
        RequestRefused,
        RetryPolicy,
        WaitTimedOut,
    )

__all__ = [
    "Accepted",
    "AsyncClient",
    "Client",
    "GatewayBusy",
    "GatewayUnreachable",
    "Job",
    "JobEvent",
    "JobNotFound",
    "LookstreamError",
    "Outcome",
    "PhotoNotFound",
    "RequestRefused",
    "RetryPolicy",
    "WaitTimedOut",
]
_OLD_NAMES = frozenset({"NotNow", "NothingThere", "Patience"})


def __getattr__(name: str) -> Any:
    """Load a name of the client when it is first used."""
    if name not in __all__ and name not in _OLD_NAMES:
        raise AttributeError(f"module 'lookstream' has no attribute {name!r}")
    import lookstream_client

    return getattr(lookstream_client, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
