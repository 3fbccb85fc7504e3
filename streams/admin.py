"""Topic creation on a real broker."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from streams.broker_url import BrokerUrl
from streams.errors import BrokerUnavailable
from streams.topics import Topic


def create_topics(broker: BrokerUrl, topics: Sequence[Topic], timeout_s: float = 30.0) -> list[str]:
    """Create the topics that are missing and return their names; existing ones stay as they are.

    The embedded broker makes topics by itself, so nothing is done there. Raises
    `BrokerUnavailable`.
    """
    if broker.embedded:
        return []
    admin = AdminClient({**broker.confluent(), "log_level": 0})
    wanted = [
        NewTopic(topic.name, num_partitions=topic.partitions, config=topic.config)
        for topic in topics
    ]
    created = []
    for name, future in admin.create_topics(wanted, request_timeout=timeout_s).items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BrokerUnavailable(f"topic {name}: {error.args[0].str()}") from error
    return created
