"""Behaviour of Apache Kafka only: topic settings, size limits, restarts."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource

from deploy.local.server import free_port
from streams.broker.connection import BrokerUrl
from streams.broker.topics import Topic, create_topics, system_topics
from streams.consumers.job_updates import JobUpdateConsumer
from streams.errors import BrokerUnavailable, EventTooLarge
from streams.events.codec import Encoded
from streams.events.models import JobUpdated
from tests.broking import letters, messages, new_topic, producing
from tests.polling import eventually
from tests.servers import KafkaServer


def test_topics_are_created_as_planned(kafka_server: KafkaServer) -> None:
    broker = BrokerUrl.parse(kafka_server.url)
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    wanted = [
        Topic(f"{prefix}.{topic.name}", topic.partitions, topic.compacted, 3, topic.max_bytes)
        for topic in system_topics(["image-validated"], partitions=3, retention_days=3)
    ]
    names = [topic.name for topic in wanted]
    assert create_topics(broker, wanted) == names
    assert create_topics(broker, wanted) == []
    admin = AdminClient(broker.confluent())
    found = admin.list_topics(timeout=10).topics
    assert [len(found[topic.name].partitions) for topic in wanted] == [3, 3, 3, 3, 3, 1]
    kinds = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    answers = admin.describe_configs(kinds)
    for kind, topic in zip(kinds, wanted, strict=True):
        config = {name: entry.value for name, entry in answers[kind].result(10).items()}
        assert {name: config[name] for name in topic.config} == topic.config


def test_no_topic_is_created_without_a_broker() -> None:
    nowhere = BrokerUrl(f"127.0.0.1:{free_port()}")
    with pytest.raises(BrokerUnavailable):
        create_topics(nowhere, [Topic("any", 1)], timeout_s=1.0)


async def test_a_dead_letter_may_be_larger_than_its_record(
    kafka_server: KafkaServer,
) -> None:
    broker = BrokerUrl.parse(kafka_server.url)
    create_topics(broker, system_topics([], partitions=4, retention_days=90))
    async with producing(broker) as producer:
        await producer.send(
            [Encoded("dead-letters", b"key", bytes(1_048_000), (("a", b"1" * 9_000),))]
        )
        topic = new_topic(broker)
        incompressible = b"".join(uuid.uuid4().bytes for _ in range(80_000))
        with pytest.raises(EventTooLarge):  # the broker's limit, if the topic has none
            await producer.send(letters(topic, incompressible))


async def test_a_producer_survives_a_restart_of_the_broker(
    kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for the first record on a busy machine, which waits for the topic's leader.
    monkeypatch.setattr("streams.broker.producer.DELIVERY_TIMEOUT_S", 8.0)
    broker = BrokerUrl.parse(kafka_server.url)
    topic = await asyncio.to_thread(new_topic, broker)
    async with producing(broker) as producer:
        await producer.send(letters(topic, b"before"))
        await asyncio.to_thread(kafka_server.stop)
        try:
            with pytest.raises(BrokerUnavailable):
                await producer.send(letters(topic, b"lost"))
            with pytest.raises(BrokerUnavailable):
                await producer.check()
        finally:
            await asyncio.to_thread(kafka_server.restart)

        async def accepted() -> bool:
            try:
                await producer.send(letters(topic, b"after"))
            except BrokerUnavailable:
                return False
            return True

        await eventually(accepted)
    found = await asyncio.to_thread(messages, broker, topic, 2)
    assert [found[0].value(), found[-1].value()] == [b"before", b"after"]


async def test_a_consumer_of_job_updates_survives_a_restart_of_the_broker(
    kafka_server: KafkaServer,
) -> None:
    broker = BrokerUrl.parse(kafka_server.url)
    create_topics(broker, system_topics([], partitions=4, retention_days=90))
    consumer = JobUpdateConsumer(broker)
    consumer.start()
    job_id = str(uuid.uuid4())
    news = JobUpdated(job_id=job_id, status="failed", revision=2, updated_at="2026-01-02T03:04:05Z")
    try:
        await asyncio.to_thread(kafka_server.restart)
        async with producing(broker) as producer:
            with consumer.subscribe(job_id) as subscription:

                async def reported() -> bool:
                    await producer.publish_all([(news, None)])
                    return await subscription.changed(0.1)

                await eventually(reported)
    finally:
        await asyncio.to_thread(consumer.stop)
