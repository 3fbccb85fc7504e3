"""Apache Kafka, MinIO and FerretDB, each on its own loopback port."""

from __future__ import annotations

import base64
import secrets
import subprocess
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

from deploy.local.builds import ServerUnavailable, tool
from deploy.local.server import HOST, Server, accepts, free_port


class Kafka(Server):
    """Apache Kafka 4.1 with KRaft: one node is broker and controller."""

    name = "kafka"

    def __init__(self) -> None:
        super().__init__()
        self._controller_port = free_port()

    @property
    def url(self) -> str:
        return f"kafka://{HOST}:{self.port}"

    def prepare(self, home: Path, data: Path) -> None:
        properties = data / "server.properties"
        properties.write_text(self._properties(data))
        # A random UUID in base64. A leading dash would be parsed as an option.
        cluster = "L" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        command = self._java(home, "kafka.tools.StorageTool")
        command += ["format", "-t", cluster, "-c", str(properties)]
        done = subprocess.run(  # noqa: S603
            command, cwd=data, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ServerUnavailable(
                f"formatting Kafka's data directory failed:\n{done.stderr[-2000:]}"
            )

    def command(self, home: Path, data: Path) -> list[str]:
        return [*self._java(home, "kafka.Kafka"), str(data / "server.properties")]

    def answers(self) -> bool:
        """Request metadata: the port is open long before the broker serves requests."""
        if not accepts(self.port):
            return False
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": f"{HOST}:{self.port}", "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=2.0).brokers)
        except KafkaException:
            return False

    def _java(self, home: Path, main: str) -> list[str]:
        # A small heap, the serial collector and the fast compiler: starts in seconds on two cores.
        options = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return [tool("java"), *options, log, "-cp", f"{home / 'lib'}/*", main]

    def _properties(self, data: Path) -> str:
        listener, controller = f"{HOST}:{self.port}", f"{HOST}:{self._controller_port}"
        lines = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{listener},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{listener}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": data / "log",
            # A killed broker can register again only after its old session expires.
            "broker.session.timeout.ms": 2_000,
            "broker.heartbeat.interval.ms": 500,
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        }
        return "".join(f"{name}={value}\n" for name, value in lines.items())


class Minio(Server):
    """MinIO on one directory, with its own root account; ``url`` contains no bucket.

    With ``kafka``, a ``host:port``, MinIO can publish notifications to topic ``object-created``.
    """

    name = "minio"

    def __init__(self, kafka: str = "") -> None:
        super().__init__()
        self._kafka = kafka
        self._user = "lookstream"
        self._password = secrets.token_hex(16)

    @property
    def url(self) -> str:
        return f"s3://{self._user}:{self._password}@{HOST}:{self.port}/?secure=false"

    def command(self, home: Path, data: Path) -> list[str]:
        options = ["--quiet", "--address", f"{HOST}:{self.port}", "--certs-dir", str(data / "tls")]
        return [str(home / "minio"), "server", *options, str(data / "objects")]

    def environment(self) -> Mapping[str, str]:
        return {
            "MINIO_ROOT_USER": self._user,
            "MINIO_ROOT_PASSWORD": self._password,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            **self._notifications(),
        }

    def _notifications(self) -> Mapping[str, str]:
        if not self._kafka:
            return {}
        return {
            "MINIO_NOTIFY_KAFKA_ENABLE_LOOKSTREAM": "on",
            "MINIO_NOTIFY_KAFKA_BROKERS_LOOKSTREAM": self._kafka,
            "MINIO_NOTIFY_KAFKA_TOPIC_LOOKSTREAM": "object-created",
        }

    def answers(self) -> bool:
        address = f"http://{HOST}:{self.port}/minio/health/ready"
        try:
            with urllib.request.urlopen(address, timeout=2.0) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


class FerretDB(Server):
    """FerretDB 1.24 on SQLite: MongoDB's protocol for tests; ``url`` contains no database."""

    name = "ferretdb"

    @property
    def url(self) -> str:
        return f"mongodb://{HOST}:{self.port}/"

    def prepare(self, home: Path, data: Path) -> None:
        (data / "databases").mkdir()

    def command(self, home: Path, data: Path) -> list[str]:
        listen = f"{HOST}:{self.port}"
        return [str(home / "ferretdb"), "-listen", listen, "-data", str(data / "databases")]

    def answers(self) -> bool:
        return accepts(self.port)
