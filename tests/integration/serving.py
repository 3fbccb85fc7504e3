"""A gateway for tests: real uvicorn on a free port, real stores, the embedded broker."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from gateway.app import create_app
from gateway.deps import Addresses, GatewayDeps, Publisher
from gateway.http.connections import ConnectionLimits
from gateway.http.limits import Limits
from gateway.server import GatewayServer, server_config
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.artifacts.store import ArtifactStore
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import JobStore
from streams.broker.connection import BrokerUrl, EmbeddedBroker
from streams.broker.producer import EventProducer
from streams.consumers.history import TopicHistory
from streams.consumers.job_updates import JobUpdateConsumer
from streams.stages.graph import StageGraph
from streams.stages.registry import EVENTS, PIPELINE
from tests.polling import until

GRAPH = StageGraph(PIPELINE)
LIMITS = Limits(max_bytes=300_000, max_request_bytes=2_000_000, max_photos=20)


@contextmanager
def embedded_broker() -> Iterator[BrokerUrl]:
    """Run librdkafka's in-process broker until the block ends."""
    broker = EmbeddedBroker()
    yield broker.url
    broker.close()


@dataclass(frozen=True)
class Serving:
    """A gateway at ``url``, with its stores and its broker."""

    url: str
    artifacts: ArtifactStore
    jobs: JobStore
    signer: LinkSigner
    broker: BrokerUrl
    job_file: Path


def drop_jobs(job_file: Path) -> None:
    """Delete all jobs of a job file, as before a rebuild. The idempotency records stay."""
    with closing(sqlite3.connect(job_file)) as connection:
        connection.executescript("DELETE FROM jobs; DELETE FROM terms;")


@contextmanager
def serving(
    root: Path,
    broker: BrokerUrl,
    *,
    limits: Limits = LIMITS,
    publisher: Publisher | None = None,
    connections: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - frozen
) -> Iterator[Serving]:
    """Serve from ``root`` until the block ends. ``broker`` may be unreachable."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    signer = LinkSigner(b"a secret for the tests", url)
    artifacts = DirectoryArtifacts(root / "artifacts", signer)
    job_file = root / "jobs.sqlite"
    jobs = SqliteJobs(job_file)
    producer = EventProducer(broker, source="/tests/gateway")
    app = create_app(_deps(url, artifacts, jobs, signer, broker, publisher or producer, limits))
    config = server_config(app, connections, timeout_graceful_shutdown=2)
    server = GatewayServer(config, app.state.end_streams)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until(lambda: server.started)
        yield Serving(url, artifacts, jobs, signer, broker, job_file)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
        producer.close(timeout_s=0.5)


def _deps(
    url: str,
    artifacts: ArtifactStore,
    jobs: JobStore,
    signer: LinkSigner,
    broker: BrokerUrl,
    publisher: Publisher,
    limits: Limits,
) -> GatewayDeps:
    return GatewayDeps(
        artifacts=artifacts,
        jobs=jobs,
        publisher=publisher,
        graph=GRAPH,
        signer=signer,
        job_updates=JobUpdateConsumer(broker),
        addresses=Addresses(url, broker.bootstrap, "file:///artifacts", "sqlite:///jobs"),
        history=TopicHistory(broker, EVENTS),
        limits=limits,
    )


def first_message(broker: BrokerUrl, topic: str, key: str, timeout_s: float = 30.0) -> Message:
    """Return the first record with ``key`` on ``topic``."""
    consumer = Consumer({**broker.confluent(), "group.id": "test"})
    partitions = consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    try:

        def poll() -> Message | None:
            message = consumer.poll(0.2)
            if message is None or message.error() or message.key() != key.encode():
                return None
            return message

        return until(poll, timeout_s)
    finally:
        consumer.close()
