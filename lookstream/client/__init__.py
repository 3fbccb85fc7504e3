"""The Python client of the gateway's REST API. Light: it loads httpx and nothing else.

    Client, AsyncClient        the same methods, to be called or to be awaited
    Job, Accepted, Outcome…    what they return: frozen values, with the whole document as `raw`
    LookstreamError…           what they raise, each with a stable `code`

Inside, every operation is one generator (`exchange.Flow`) that says what is to be sent; two thin
transports send it, on threads and on an event loop.
"""

from lookstream.client.async_client import AsyncClient
from lookstream.client.client import Client
from lookstream.client.patience import Patience
from lookstream.client.progress import Steps
from lookstream.client.replies import (
    Accepted,
    Counts,
    Info,
    JobEvent,
    Outcome,
    Page,
    Prediction,
    Replay,
    Rerun,
    Similar,
)
from lookstream.client.results import Failure, Job, Label, Picture, Shot, Stage
from lookstream.errors import (
    GatewayUnreachable,
    JobNotFound,
    LookstreamError,
    NotAGateway,
    NothingThere,
    NotNow,
    RequestRefused,
    WaitTimedOut,
)

__all__ = [
    "Accepted",
    "AsyncClient",
    "Client",
    "Counts",
    "Failure",
    "GatewayUnreachable",
    "Info",
    "Job",
    "JobEvent",
    "JobNotFound",
    "Label",
    "LookstreamError",
    "NotAGateway",
    "NotNow",
    "NothingThere",
    "Outcome",
    "Page",
    "Patience",
    "Picture",
    "Prediction",
    "Replay",
    "RequestRefused",
    "Rerun",
    "Shot",
    "Similar",
    "Stage",
    "Steps",
    "WaitTimedOut",
]
