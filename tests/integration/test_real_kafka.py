"""The Kafka of the tests: it does not create topics by itself, and it keeps records."""

from __future__ import annotations

import uuid

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.servers import KafkaServer


def read(server: KafkaServer, topic: str, count: int) -> list[bytes]:
    settings = {
        "bootstrap.servers": server.bootstrap,
        "group.id": uuid.uuid4().hex,
        "auto.offset.reset": "earliest",
        "log_level": 0,
    }
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    values: list[bytes] = []
    for _ in range(60):
        if len(values) == count:
            break
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            values.append(message.value())
    consumer.close()
    return values


def test_what_was_acknowledged_survives_a_kill_of_the_broker(kafka_server: KafkaServer) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap, "log_level": 0})
    topic = f"test-{uuid.uuid4().hex}"
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": kafka_server.bootstrap, "log_level": 0})
    for number in range(50):
        producer.produce(topic, b"%d" % number)
    assert producer.flush(20) == 0
    kafka_server.kill()
    kafka_server.restart()
    assert read(kafka_server, topic, 50) == [b"%d" % number for number in range(50)]


def test_a_topic_is_not_made_by_writing_to_it(kafka_server: KafkaServer) -> None:
    topic = f"test-{uuid.uuid4().hex}"
    errors: list[object] = []
    settings = {
        "bootstrap.servers": kafka_server.bootstrap,
        "message.timeout.ms": 1500,
        "log_level": 0,
    }
    producer = Producer(settings)
    producer.produce(topic, b"x", on_delivery=lambda error, message: errors.append(error))
    producer.flush(20)
    assert len(errors) == 1
    assert errors[0] is not None  # never `!=`: KafkaError cannot be compared with None
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap, "log_level": 0})
    assert topic not in admin.list_topics(timeout=10).topics
