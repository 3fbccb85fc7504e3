"""Produce to a broker and read it back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from streams.broker.connection import BrokerUrl
from streams.broker.producer import EventProducer
from streams.broker.topics import Topic, create_topics
from streams.events.codec import Encoded
from streams.events.models import ImageSubmitted, Source
from tests.polling import until


@asynccontextmanager
async def producing(broker: BrokerUrl) -> AsyncIterator[EventProducer]:
    producer = EventProducer(broker, source="/tests")
    try:
        yield producer
    finally:
        producer.close(timeout_s=0.1)


def submitted() -> ImageSubmitted:
    return ImageSubmitted(job_id=str(uuid.uuid4()), source=Source(url="https://example.com/a"))


def new_topic(broker: BrokerUrl, partitions: int = 1) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    create_topics(broker, [Topic(name, partitions)])
    return name


def letters(topic: str, *values: bytes) -> list[Encoded]:
    return [Encoded(topic, b"key", value, (("a", b"1"), ("a", b"\xff"))) for value in values]


def messages(
    broker: BrokerUrl,
    topic: str,
    count: int = 1,
    wanted: Callable[[Message], bool] = lambda _: True,
) -> list[Message]:
    """Return the first ``count`` wanted messages of a topic, read from its beginning."""
    config = {"group.id": "tests", "fetch.wait.max.ms": 20, "log_level": 0}
    consumer = Consumer({**broker.confluent(), **config})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    found: list[Message] = []

    def read() -> bool:
        message = consumer.poll(0.1)
        while message is not None and len(found) < count:
            if message.error() is None and wanted(message):
                found.append(message)
            message = consumer.poll(0)
        return len(found) == count

    try:
        until(read)
    finally:
        consumer.close()
    return found
