"""Apache Kafka with passwords and ACLs, for tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.builds import ServerUnavailable
from deploy.local.server import HOST, accepts
from deploy.local.servers import Kafka
from streams.broker.connection import BrokerUrl
from tests.servers import give_up

USERS = ("admin", "shop", "gate", "work")
_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


class SecuredKafka(Kafka):
    """A Kafka that refuses everything that no ACL allows; only ``admin`` may do everything.

    The password of each of `USERS` is its name.
    """

    def of(self, user: str) -> str:
        """Return the URL with a user's name and password."""
        return f"kafka://{user}:{user}@{HOST}:{self.port}"

    def answers(self) -> bool:
        if not accepts(self.port):
            return False
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({**BrokerUrl.parse(self.of("admin")).confluent(), "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=2.0).brokers)
        except KafkaException:
            return False

    def _properties(self, data: Path) -> str:
        known = " ".join(f'user_{user}="{user}"' for user in ("broker", *USERS))
        login = f'{_LOGIN} username="broker" password="broker" {known};'
        lines = {
            "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
            "listeners": f"CLIENT://{HOST}:{self.port},CONTROLLER://{HOST}:{self._controller_port}",
            "advertised.listeners": f"CLIENT://{HOST}:{self.port}",
            "inter.broker.listener.name": "CLIENT",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.client.plain.sasl.jaas.config": login,
            "listener.name.controller.plain.sasl.jaas.config": login,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": "User:broker;User:admin",
        }
        # The last value of a repeated name counts.
        return super()._properties(data) + "".join(f"{name}={lines[name]}\n" for name in lines)


@pytest.fixture(scope="module")
def secured_kafka() -> Iterator[SecuredKafka]:
    with tempfile.TemporaryDirectory(prefix="lookstream-", ignore_cleanup_errors=True) as data:
        server = SecuredKafka()
        try:
            server.start(Path(data) / server.name)
        except ServerUnavailable as error:
            give_up(str(error))
        try:
            yield server
        finally:
            server.stop()
