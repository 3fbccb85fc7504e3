"""What the gateway is made of. `create_app` receives it; nothing here is built by the gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from opentelemetry.trace import NoOpTracerProvider, TracerProvider

from gateway.http.limits import Limits
from storage.artifacts.links import LinkSigner
from storage.artifacts.store import ArtifactStore
from storage.jobs.store import JobStore
from streams.consumers.history import TopicHistory
from streams.consumers.job_updates import JobUpdateConsumer
from streams.events.models import Event
from streams.stages.graph import StageGraph


class Publisher(Protocol):
    """Puts events on their topics. Both methods raise `BrokerUnavailable`."""

    async def publish_all(self, events: Iterable[tuple[Event, str | None]]) -> None:
        """Publish events with their traceparents; return when all are acknowledged."""

    async def check(self) -> None:
        """Return when the broker answers."""


@dataclass(frozen=True)
class Addresses:
    """Where the running system is, secrets left out, so that other programs can join in.

    ``gateway`` is a URL, ``kafka`` a bare ``host:port``, the stores are redacted URLs.
    """

    gateway: str
    kafka: str
    artifacts: str
    jobs: str


@dataclass(frozen=True)
class GatewayDeps:
    """Everything that the routes need.

    Whoever made the stores and the publisher closes them; the app starts and stops ``follower``,
    because it wakes waiters on the app's own event loop. ``events`` is the AsyncAPI document;
    ``hosts`` are the names under which it may be asked, None for any.
    """

    artifacts: ArtifactStore
    jobs: JobStore
    publisher: Publisher
    graph: StageGraph
    signer: LinkSigner
    job_updates: JobUpdateConsumer
    addresses: Addresses
    history: TopicHistory
    limits: Limits = field(default_factory=Limits)
    link_expires_s: int = 86_400
    events: Mapping[str, Any] = field(default_factory=dict)
    hosts: frozenset[str] | None = None
    tracers: TracerProvider = field(default_factory=NoOpTracerProvider)
    version: str = "0"
