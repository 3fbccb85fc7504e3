"""The dependencies of the gateway. `create_app` receives them; the gateway builds none of them."""

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
    """Publishes events to Kafka."""

    async def publish_all(self, events: Iterable[tuple[Event, str | None]]) -> None:
        """Publish events with their traceparents; return when the broker has acknowledged all.

        Raises `BrokerUnavailable`, and `EventTooLarge`.
        """

    async def check(self) -> None:
        """Return when the broker has answered. Raises `BrokerUnavailable`."""


@dataclass(frozen=True)
class Addresses:
    """Addresses of the running system, without secrets.

    ``gateway`` is a URL, ``kafka`` a bare ``host:port``, the stores are redacted URLs.
    """

    gateway: str
    kafka: str
    artifacts: str
    jobs: str


@dataclass(frozen=True)
class GatewayDeps:
    """Everything that the gateway needs.

    The app starts and stops ``job_updates``, which notifies waiting requests on the app's event
    loop. The app closes nothing else here. ``events`` is the AsyncAPI document. ``hosts`` are the
    allowed host names, None for any.
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
