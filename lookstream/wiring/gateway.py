"""Build the gateway from the settings, and resolve the addresses that the settings leave out."""

from __future__ import annotations

import os
import secrets
import socket
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookstream.settings import Settings
from lookstream.telemetry import Telemetry
from lookstream.wiring.stages import event_models, stage_graph
from storage.artifacts.links import LinkSigner
from storage.urls import open_artifacts, open_jobs, redact
from streams.broker.acls import Acl, Role, acls
from streams.broker.connection import BrokerUrl
from streams.broker.producer import EventProducer
from streams.broker.topics import OBJECT_CREATED, Topic, system_topics
from streams.consumers.history import TopicHistory
from streams.events.asyncapi import asyncapi
from streams.stages.registry import INTERNAL_EVENTS

if TYPE_CHECKING:
    from fastapi import FastAPI


TRACKING = "tracking"
DOWNLOADING = "downloading"
INTAKE = "intake"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - only compared


def resolved(settings: Settings) -> Settings:
    """Return the settings with all addresses. Stores without an address use the data directory."""
    home = settings.home.absolute()
    return settings.model_copy(
        update={
            "artifacts": settings.artifacts or f"file://{home / 'artifacts'}",
            "jobs": settings.jobs or f"sqlite://{home / 'jobs.sqlite'}",
            # Port 0 means any free port, so the address is not known yet.
            "public_url": settings.public_url or (own_url(settings) if settings.port else ""),
        }
    )


def own_url(settings: Settings) -> str:
    """Return the gateway's URL. A wildcard host is replaced by this machine's address."""
    host = _address() if settings.host in EVERYWHERE else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def chosen_url(settings: Settings) -> str:
    """Return the URL that an operator has set; empty if `resolved` has filled it in."""
    return "" if settings.public_url == own_url(settings) else settings.public_url


def _address() -> str:
    """Return this machine's address on the network. Connecting a UDP socket sends no packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # reserved for documents (RFC 5737)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def topic_plan(settings: Settings) -> list[Topic]:
    """Return the topics that this installation needs."""
    emitted = [node.emits for node in stage_graph(settings).nodes.values()]
    emitted += [event.topic for event in INTERNAL_EVENTS]
    notified = [Topic(OBJECT_CREATED, settings.partitions)] if settings.notifications else []
    return [*system_topics(emitted, settings.partitions, settings.retention_days), *notified]


def acl_plan(settings: Settings, role: Role) -> list[Acl]:
    """Return the Kafka permissions of a role in this installation."""
    nodes = stage_graph(settings).nodes.values()
    return acls(role, [topic.name for topic in topic_plan(settings)], [n.consumes for n in nodes])


def events_document(settings: Settings) -> dict[str, Any]:
    """Return the AsyncAPI document of this installation's events."""
    broker = BrokerUrl.parse(settings.kafka).bootstrap
    topics = topic_plan(settings)
    models = [*event_models(settings), *INTERNAL_EVENTS]
    return asyncapi(models, topics, broker=broker, version=version("lookstream"))


def link_signer(settings: Settings) -> LinkSigner:
    """Return the signer of artifact links. The default secret is in the data directory."""
    secret = settings.secret.get_secret_value() or _stored_secret(settings.home / "secret")
    return LinkSigner(secret.encode(), settings.public_url)


def _stored_secret(path: Path) -> str:
    """Return the secret in ``path``. The first process creates the file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    return path.read_text()


def build_gateway(settings: Settings, telemetry: Telemetry | None = None) -> FastAPI:
    """Return the gateway's application with real stores and a new producer."""
    publisher = EventProducer(BrokerUrl.parse(settings.kafka), source="/lookstream/gateway")
    return gateway_over(publisher, settings, telemetry)


def gateway_over(
    publisher: EventProducer, settings: Settings, telemetry: Telemetry | None = None
) -> FastAPI:
    """Return the gateway's application with ``publisher``. The caller closes ``publisher``."""
    from gateway.app import create_app
    from gateway.deps import Addresses, GatewayDeps
    from gateway.http.host_check import names_of
    from gateway.http.limits import Limits
    from streams.consumers.job_updates import JobUpdateConsumer

    broker = BrokerUrl.parse(settings.kafka)
    signer = link_signer(settings)
    return create_app(
        GatewayDeps(
            artifacts=open_artifacts(settings.artifacts, signer),
            jobs=open_jobs(settings.jobs),
            publisher=publisher,
            graph=stage_graph(settings),
            signer=signer,
            job_updates=JobUpdateConsumer(broker),
            addresses=Addresses(
                gateway=settings.public_url,
                kafka=broker.bootstrap,
                artifacts=redact(settings.artifacts),
                jobs=redact(settings.jobs),
            ),
            history=TopicHistory(broker, event_models(settings)),
            limits=Limits(max_bytes=settings.max_bytes),
            link_expires_s=settings.link_expires_s,
            events=events_document(settings),
            hosts=names_of(settings.host, chosen_url(settings), settings.host_names),
            tracers=(telemetry or Telemetry()).provider,
            version=version("lookstream"),
        )
    )


def other_processors(settings: Settings) -> list[str]:
    """Return the processors of a complete system that are not stages."""
    notified = settings.notifications and settings.artifacts.startswith("s3://")
    return [DOWNLOADING, TRACKING, *([INTAKE] if notified else [])]
