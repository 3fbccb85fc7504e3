"""The Python client of a Lookstream gateway, and the `lookstream` command.

Start with `async_client` (the source of `client`) or `cli`. Operations are in `submitting` and
`reading`, values in `models`. This package imports nothing of the server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookstream_client.async_client import AsyncClient
    from lookstream_client.client import Client
    from lookstream_client.errors import (
        GatewayBusy,
        GatewayUnreachable,
        InvalidValue,
        JobNotFound,
        LookstreamError,
        NotAGateway,
        PhotoNotFound,
        RequestRefused,
        WaitTimedOut,
    )
    from lookstream_client.http import RetryPolicy
    from lookstream_client.models import (
        Accepted,
        Attribute,
        Box,
        Counts,
        Failure,
        Info,
        Item,
        Job,
        JobEvent,
        Keypoint,
        Label,
        Links,
        Original,
        Outcome,
        Page,
        Picture,
        Pose,
        Prediction,
        Replay,
        ReplayFailure,
        Rerun,
        Shot,
        Similar,
        Stage,
    )
    from lookstream_client.submitting import Progress

_MODULES = {
    "async_client": ("AsyncClient",),
    "client": ("Client",),
    "errors": (
        "GatewayUnreachable",
        "InvalidValue",
        "JobNotFound",
        "LookstreamError",
        "NotAGateway",
        "GatewayBusy",
        "PhotoNotFound",
        "RequestRefused",
        "WaitTimedOut",
    ),
    "http": ("RetryPolicy",),
    "models": (
        "Accepted",
        "Attribute",
        "Box",
        "Counts",
        "Failure",
        "Info",
        "Item",
        "Job",
        "JobEvent",
        "Keypoint",
        "Label",
        "Links",
        "Original",
        "Outcome",
        "Page",
        "Picture",
        "Pose",
        "Prediction",
        "Replay",
        "ReplayFailure",
        "Rerun",
        "Shot",
        "Similar",
        "Stage",
    ),
    "submitting": ("Progress",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}
_OLD_NAMES = {
    "NotNow": "GatewayBusy",
    "NothingThere": "PhotoNotFound",
    "Patience": "RetryPolicy",
    "Steps": "Progress",
}
"""Deprecated names; they still work."""

__all__ = [
    "Accepted",
    "AsyncClient",
    "Attribute",
    "Box",
    "Client",
    "Counts",
    "Failure",
    "GatewayBusy",
    "GatewayUnreachable",
    "Info",
    "InvalidValue",
    "Item",
    "Job",
    "JobEvent",
    "JobNotFound",
    "Keypoint",
    "Label",
    "Links",
    "LookstreamError",
    "NotAGateway",
    "Original",
    "Outcome",
    "Page",
    "PhotoNotFound",
    "Picture",
    "Pose",
    "Prediction",
    "Progress",
    "Replay",
    "ReplayFailure",
    "RequestRefused",
    "Rerun",
    "RetryPolicy",
    "Shot",
    "Similar",
    "Stage",
    "WaitTimedOut",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that the command line starts fast."""
    name = _OLD_NAMES.get(name, name)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
