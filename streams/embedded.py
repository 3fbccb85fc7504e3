"""The embedded broker: librdkafka's in-process cluster, real protocol on a loopback port.

It keeps about 5 MB a partition, in memory only, and makes topics by itself, with 4 partitions.
"""

from __future__ import annotations

from confluent_kafka import KafkaException, Producer

from streams.broker_url import BrokerUrl
from streams.errors import BrokerUnavailable


class EmbeddedBroker:
    """A Kafka broker that lives as long as this object."""

    def __init__(self) -> None:
        self._owner: Producer | None = Producer(
            {"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 0}
        )
        self.url = BrokerUrl(_address(self._owner), embedded=True)

    def __str__(self) -> str:
        return f"kafka://{self.url.bootstrap}?embedded=true"

    def close(self) -> None:
        """Stop the broker; everything it kept is gone."""
        self._owner = None


def _address(owner: Producer) -> str:
    try:
        brokers = owner.list_topics(timeout=10).brokers.values()
    except KafkaException as error:
        raise BrokerUnavailable(f"the embedded broker did not start: {error}") from error
    return ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
