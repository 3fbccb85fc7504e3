"""The composition root: what builds real objects out of settings. The gateway here, stages in
`lookstream.wiring.stages`, workers in `lookstream.wiring.workers`; nothing else does."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookstream.errors import CannotStart
from lookstream.settings import Settings
from lookstream.telemetry import Telemetry
from storage.artifacts.links import LinkSigner
from storage.urls import open_artifacts, open_jobs, redact
from streams.broker.connection import BrokerUrl
from streams.broker.producer import EventProducer
from streams.broker.topics import OBJECT_CREATED, Topic, system_topics
from streams.consumers.history import TopicHistory
from streams.events.asyncapi import asyncapi
from streams.events.models import Event
from streams.stages.graph import StageGraph
from streams.stages.registry import EVENTS, PIPELINE

if TYPE_CHECKING:
    from fastapi import FastAPI

    from agents.stages.stage import Stage


TRACKING = "tracking"
INTAKE = "intake"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound


def resolved(settings: Settings) -> Settings:
    """Return the settings with every store's address: unset ones lie in the data directory."""
    home = settings.home.absolute()
    return settings.model_copy(
        update={
            "artifacts": settings.artifacts or f"file://{home / 'artifacts'}",
            "jobs": settings.jobs or f"sqlite://{home / 'jobs.sqlite'}",
            # Port 0 is one that nobody has taken yet, and no address.
            "public_url": settings.public_url or (own_url(settings) if settings.port else ""),
        }
    )


def own_url(settings: Settings) -> str:
    """Return where the gateway listens, as others reach it: on all addresses, by this machine's."""
    host = _address() if settings.host in EVERYWHERE else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _address() -> str:
    """Return this machine's address towards the network; no packet is sent to learn it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # reserved for documents (RFC 5737)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def custom_stages(settings: Settings) -> tuple[Stage, ...]:
    """Return the stages that ``LOOKSTREAM_STAGES`` names as ``module:attribute``.

    An attribute is a stage, or a function that returns one. Functions run once per process.
    Raises `CannotStart` if a name leads to no stage.
    """
    return _import_stages(settings.stages)


@cache
def _import_stages(names: str) -> tuple[Stage, ...]:
    return tuple(_import_stage(name.strip()) for name in names.split(",") if name.strip())


def _import_stage(name: str) -> Stage:
    from agents.stages.stage import Stage

    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise CannotStart(f"LOOKSTREAM_STAGES: cannot import {name}: {error}") from error
    stage = found() if callable(found) else found
    if not isinstance(stage, Stage):
        raise CannotStart(f"LOOKSTREAM_STAGES: {name} is a {type(stage).__name__}, not a Stage")
    return stage


def stage_graph(settings: Settings) -> StageGraph:
    """Return the graph of all stages, without loading any network.

    Each custom stage may write artifacts under ``stages/<name>`` without declaring the prefix.
    Raises `CannotStart` if a custom stage does not fit the other stages.
    """
    custom = [
        replace(stage.node, artifacts=(*stage.artifacts, f"stages/{stage.name}"))
        for stage in custom_stages(settings)
    ]
    try:
        return StageGraph([*PIPELINE, *custom])
    except ValueError as error:
        raise CannotStart(f"LOOKSTREAM_STAGES: {error}") from error


def topic_plan(settings: Settings) -> list[Topic]:
    """Return the topics that the system needs."""
    emitted = [node.emits for node in stage_graph(settings).nodes.values()]
    notified = [Topic(OBJECT_CREATED, settings.partitions)] if settings.notifications else []
    return [*system_topics(emitted, settings.partitions, settings.retention_days), *notified]


def event_models(settings: Settings) -> list[type[Event]]:
    """Return all events that travel through this installation."""
    return [*EVENTS, *(stage.emits for stage in custom_stages(settings))]


def events_document(settings: Settings) -> dict[str, Any]:
    """Return the AsyncAPI document of the events that travel through this installation."""
    broker = BrokerUrl.parse(settings.kafka).bootstrap
    topics = topic_plan(settings)
    return asyncapi(event_models(settings), topics, broker=broker, version=version("lookstream"))


def link_signer(settings: Settings) -> LinkSigner:
    """Return the signer of artifact links; without a set secret, with one kept in the data."""
    secret = settings.secret.get_secret_value() or _kept_secret(settings.home / "secret")
    return LinkSigner(secret.encode(), settings.public_url)


def _kept_secret(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    return path.read_text()


def build_gateway(settings: Settings, telemetry: Telemetry | None = None) -> FastAPI:
    """Return the gateway's application over real stores and a real broker."""
    publisher = EventProducer(BrokerUrl.parse(settings.kafka), source="/lookstream/gateway")
    return gateway_over(publisher, settings, telemetry)


def gateway_over(
    publisher: EventProducer, settings: Settings, telemetry: Telemetry | None = None
) -> FastAPI:
    """Return the gateway's application that publishes by ``publisher``, which the caller closes."""
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
            job_updates=JobUpdateConsumer(broker.confluent()),
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
            hosts=names_of(settings.host, settings.public_url),
            tracers=(telemetry or Telemetry()).provider,
            version=version("lookstream"),
        )
    )


def other_processors(settings: Settings) -> list[str]:
    """Return what a whole system runs besides its stages."""
    notified = settings.notifications and settings.artifacts.startswith("s3://")
    return [TRACKING, INTAKE] if notified else [TRACKING]
