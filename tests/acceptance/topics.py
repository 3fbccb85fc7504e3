"""A plain Kafka client that uses none of our code."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from tests.polling import until

SUBMITTED = "image-submitted"


def new_job_id() -> str:
    return str(uuid.uuid4())


def attributes(**changed: str) -> dict[str, str]:
    """Return the CloudEvents attributes of an `image-submitted` event."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/a/shop",
        "type": "lookstream.image-submitted.v1",
        **changed,
    }


def submission(job_id: str, url: str, **more: Any) -> dict[str, Any]:
    """Return the data of an `image-submitted` event."""
    return {"job_id": job_id, "source": {"url": url}, **more}


def headers(given: Mapping[str, str] | None = None) -> list[tuple[str, bytes]]:
    """Return the Kafka headers of an event in binary mode."""
    named = {f"ce_{name}": value for name, value in (given or attributes()).items()}
    return [(k, v.encode()) for k, v in {**named, "content-type": "application/json"}.items()]


def publish(
    broker: str,
    job_id: str,
    value: bytes,
    record_headers: list[tuple[str, bytes]],
    compression: str = "none",
    topic: str = SUBMITTED,
) -> Message:
    """Publish one record; return it as the broker acknowledged it."""
    delivered: list[tuple[Any, Message]] = []
    producer = Producer({"bootstrap.servers": broker, "compression.type": compression})
    producer.produce(
        topic,
        key=job_id.encode(),
        value=value,
        headers=record_headers,
        on_delivery=lambda error, message: delivered.append((error, message)),
    )
    producer.flush(20)
    ((error, message),) = delivered
    assert error is None, error
    return message


def publish_event(broker: str, data: dict[str, Any], **changed: str) -> str:
    """Publish an `image-submitted` event in binary mode and return its job id."""
    job_id: str = data["job_id"]
    publish(broker, job_id, json.dumps(data).encode(), headers(attributes(**changed)))
    return job_id


def find(
    broker: str, topic: str, wanted: Callable[[Message], bool], within_s: float = 30.0
) -> Message:
    """Return the first wanted record from the beginning of ``topic``."""
    deadline = time.monotonic() + within_s
    with _reading(broker, topic) as consumer:
        while True:
            message = consumer.poll(0.2)
            if message is not None and not message.error() and wanted(message):
                return message
            assert time.monotonic() < deadline, f"not on {topic} within {within_s:g} s"


def keys_of_all(broker: str, topic: str) -> list[str]:
    """Return the keys of all records that ``topic`` has now."""
    found = []
    with _reading(broker, topic) as consumer:
        for part in consumer.assignment():
            _, end = consumer.get_watermark_offsets(part, timeout=10)
            if end == 0:
                continue
            consumer.assign([TopicPartition(topic, part.partition, OFFSET_BEGINNING)])
            while (message := consumer.poll(20)) is not None:
                assert not message.error(), message.error()
                found.append((message.key() or b"").decode())
                if message.offset() >= end - 1:
                    break
    return found


@contextmanager
def _reading(broker: str, topic: str) -> Iterator[Consumer]:
    consumer = Consumer({"bootstrap.servers": broker, "group.id": f"tests-{uuid.uuid4()}"})
    try:
        # The embedded broker creates a topic when the first record arrives.
        partitions = until(lambda: consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        yield consumer
    finally:
        consumer.close()
