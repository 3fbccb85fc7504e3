"""On a Kafka with an authorizer, the ACLs of `lookstream topics --acls` are enough, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from confluent_kafka import KafkaError, Producer
from lookstream_client.cli import command_line
from typer.testing import CliRunner

from deploy.local.server import free_port
from lookstream.settings import Settings
from lookstream.wiring.gateway import topic_plan
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from streams.broker.acls import acls, create_acls
from streams.broker.connection import BrokerUrl
from streams.broker.producer import EventProducer
from streams.events.models import ImageSubmitted, Source
from tests.garments import jpeg, tshirt
from tests.polling import until
from tests.secured_kafka import SecuredKafka, secured_kafka

__all__ = ["secured_kafka"]

SECRET = "0123456789abcdef"
ROLES = {"shop": "producer", "gate": "gateway", "work": "worker"}


def topics(server: SecuredKafka, *options: str, user: str = "admin") -> tuple[int, str]:
    ran = CliRunner().invoke(
        command_line(), ["topics", *options], env={"LOOKSTREAM_KAFKA": server.of(user)}
    )
    return ran.exit_code, ran.output


@pytest.fixture(scope="module")
def kafka(secured_kafka: SecuredKafka) -> SecuredKafka:
    """The server with all topics, and the ACLs of `ROLES`."""
    assert topics(secured_kafka, "--create")[0] == 0
    for user, role in ROLES.items():
        code, output = topics(secured_kafka, "--acls", f"User:{user}", "--role", role, "--create")
        assert code == 0, output
    for user in ROLES:  # the broker applies new ACLs a moment after its answer
        until(lambda user=user: refusal(secured_kafka, user, "image-submitted") is None)
    return secured_kafka


def refusal(kafka: SecuredKafka, user: str, topic: str) -> int | None:
    """Produce one record idempotently; return the code of the error, None without one."""
    config = {"enable.idempotence": True, "message.timeout.ms": 10_000, "log_level": 0}
    producer = Producer({**BrokerUrl.parse(kafka.of(user)).confluent(), **config})
    errors: list[KafkaError | None] = []
    producer.produce(topic, b"{}", on_delivery=lambda error, _: errors.append(error))
    producer.flush(20)
    (error,) = errors
    return None if error is None else int(error.code())


def test_a_producer_may_only_submit(kafka: SecuredKafka) -> None:
    names = [topic.name for topic in topic_plan(Settings())]
    refused = {name: refusal(kafka, "shop", name) for name in names}
    assert refused.pop("image-submitted") is None
    assert set(refused.values()) == {KafkaError.TOPIC_AUTHORIZATION_FAILED}


def test_the_gateway_writes_no_state_and_no_failure(kafka: SecuredKafka) -> None:
    for name in ("image-submitted", "image-validated", "job-deleted"):
        assert refusal(kafka, "gate", name) is None
    for name in ("job-updated", "stage-failed", "image-captioned", "dead-letters"):
        assert refusal(kafka, "gate", name) == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_acls_are_printed_without_a_change(kafka: SecuredKafka) -> None:
    code, output = topics(kafka, "--acls", "printed")
    assert code == 0
    assert [line.split() for line in output.splitlines()[1:]] == [
        ["User:printed", "WRITE", "topic", "image-submitted"],
        ["User:printed", "DESCRIBE", "topic", "image-submitted"],
    ]


def test_only_an_administrator_may_apply_acls(kafka: SecuredKafka) -> None:
    code, output = topics(kafka, "--acls", "User:eve", "--create", user="shop")
    assert (code, output.count("\n")) == (2, 1)
    assert "Kafka refuses to change its ACLs" in output


def test_a_principal_needs_a_name(kafka: SecuredKafka) -> None:
    assert topics(kafka, "--acls", "User:")[0] == 2


def test_the_embedded_broker_has_no_acls() -> None:
    broker = BrokerUrl.parse("kafka://127.0.0.1:1?embedded=true")
    create_acls(broker, "User:x", acls("worker", ["image-submitted"], ["image-submitted"]))


@contextlib.contextmanager
def process(home: Path, kafka: str, *command: str, **settings: str) -> Iterator[None]:
    environment = {
        **os.environ,
        "LOOKSTREAM_HOME": str(home),
        "LOOKSTREAM_KAFKA": kafka,
        "LOOKSTREAM_SECRET": SECRET,
        **settings,
    }
    with (home / f"{command[0]}.log").open("ab") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "lookstream", *command],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
    finally:
        started.terminate()
        started.wait(30)


def test_each_role_works_with_its_own_acls(kafka: SecuredKafka, tmp_path: Path) -> None:
    """A producer, the gateway and a worker as different users complete a photo."""
    job_id, port = str(uuid.uuid4()), free_port()
    store = DirectoryArtifacts(tmp_path / "artifacts", LinkSigner(SECRET.encode(), ""))
    store.put(f"uploads/{job_id}", jpeg(tshirt()))
    producer = EventProducer(BrokerUrl.parse(kafka.of("shop")), source="/shop")
    event = ImageSubmitted(
        job_id=job_id, source=Source(object=f"uploads/{job_id}"), stages=("thumbnailing",)
    )
    with (
        process(
            tmp_path,
            kafka.of("work"),
            *("worker", "validation", "thumbnailing", "tracking"),
            LOOKSTREAM_WORKER_PORT="0",
        ),
        process(tmp_path, kafka.of("gate"), "gateway", "--port", str(port)),
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        asyncio.run(producer.publish_all([(event, None)]))
        producer.close()

        def status(path: str) -> str | None:
            with contextlib.suppress(httpx.TransportError):
                answer = http.get(path)
                return str(answer.json().get("status"))
            return None

        until(lambda: status(f"/v1/jobs/{job_id}") == "completed")
        until(lambda: http.get("/health/ready").status_code == 200)
        again = http.post(f"/v1/jobs/{job_id}/runs", json={})
        assert again.json()["run"] == 2
        until(lambda: http.get(f"/v1/jobs/{job_id}").json()["stages"]["thumbnailing"]["run"] == 2)
        until(lambda: status(f"/v1/jobs/{job_id}") == "completed")
        assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
