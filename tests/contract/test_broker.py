"""The contract of brokers: one suite for the embedded broker and Apache Kafka."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Message

from deploy.local.server import free_port
from streams.broker.connection import BrokerUrl, EmbeddedBroker
from streams.broker.records import Record
from streams.broker.topics import create_topics, system_topics
from streams.consumers.job_updates import JobUpdateConsumer
from streams.errors import BrokerUnavailable, EventTooLarge
from streams.events.codec import Decoder, Encoded
from streams.events.models import ImageSubmitted, JobUpdated
from tests.broking import letters, messages, new_topic, producing, submitted
from tests.polling import eventually
from tests.raw_records import publish_with_bad_header_name

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker()
    yield broker
    broker.close()


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.real_servers)])
def broker(request: pytest.FixtureRequest) -> BrokerUrl:
    if request.param == "embedded":
        return BrokerUrl.parse(str(request.getfixturevalue("embedded")))
    url = BrokerUrl.parse(request.getfixturevalue("kafka_server").url)
    create_topics(url, system_topics([], partitions=4, retention_days=90))
    return url


async def test_a_published_event_is_on_its_topic(broker: BrokerUrl) -> None:
    event = submitted()
    async with producing(broker) as producer:
        await producer.publish_all([(event, TRACE)])

    def ours(message: Message) -> bool:
        return bool(message.key() == event.job_id.encode())

    (message,) = await asyncio.to_thread(messages, broker, event.topic, 1, ours)
    record = Record.received(message)
    envelope = Decoder([ImageSubmitted]).decode(record)
    assert (envelope.event, envelope.traceparent) == (event, TRACE)
    assert record.job_id() == event.job_id


async def test_records_go_as_they_are_and_in_order(broker: BrokerUrl) -> None:
    topic = new_topic(broker)
    values = [b"%d" % number for number in range(300)]
    async with producing(broker) as producer:
        await producer.send(letters(topic, *values))
        await producer.send([])
        await producer.send([Encoded(topic, None, None, ())])
    found = await asyncio.to_thread(messages, broker, topic, 301)
    ours = [each for each in found if each.key() == b"key"]
    assert [each.value() for each in ours] == values
    assert ours[0].headers() == [("a", b"1"), ("a", b"\xff")]
    bare = next(each for each in found if each.key() is None)
    assert (bare.value(), bare.headers()) == (None, None)


async def test_unreadable_header_names_never_end_the_process(broker: BrokerUrl) -> None:
    """The library raises for such a name at the first reading only, and then gives broken pairs."""
    topic = new_topic(broker)
    await publish_with_bad_header_name(broker, topic, b"key", b"value")
    (message,) = await asyncio.to_thread(messages, broker, topic)
    assert [Record.received(message).headers for _ in range(3)] == [()] * 3


async def test_frequent_readings_do_not_hide_an_unreadable_header_name(broker: BrokerUrl) -> None:
    """Python does not check a frequent call for the library's exception. A search for a method that
    is not in the type cache then clears it."""
    topic = new_topic(broker)
    await publish_with_bad_header_name(broker, topic, b"key", b"value")
    (message,) = await asyncio.to_thread(messages, broker, topic)
    for _ in range(100):
        Record.received(Message(topic=topic, headers=[("a", b"1")]))
    sys._clear_type_cache()
    assert Record.received(message).headers == ()


async def test_keys_are_partitioned_by_murmur2(broker: BrokerUrl) -> None:
    """Java clients and this producer put a job's events on the same partition, by murmur2."""
    topic = new_topic(broker, partitions=4)
    keys = [b"21", b"foobar", b"a-little-bit-long-string"]  # values from Kafka's own tests
    hashes = [-973932308, -790332482, -985981536]
    async with producing(broker) as producer:
        await producer.send([Encoded(topic, key, b"", ()) for key in keys])
    found = await asyncio.to_thread(messages, broker, topic, 3)
    partitions = {each.key(): each.partition() for each in found}
    expected = [(number & 0x7FFFFFFF) % 4 for number in hashes]
    assert [partitions[key] for key in keys] == expected


async def test_many_publishers_share_a_producer(broker: BrokerUrl) -> None:
    topic = new_topic(broker)
    async with producing(broker) as producer:
        await asyncio.gather(*(producer.send(letters(topic, b"%d" % n)) for n in range(100)))
    found = await asyncio.to_thread(messages, broker, topic, 100)
    assert {each.value() for each in found} == {b"%d" % number for number in range(100)}


async def test_a_too_large_record_raises_event_too_large(broker: BrokerUrl) -> None:
    topic = new_topic(broker)
    async with producing(broker) as producer:
        with pytest.raises(EventTooLarge):
            await producer.send(letters(topic, bytes(3_000_000)))
        await producer.send(letters(topic, b"the next one"))


async def test_the_check_of_a_running_broker_succeeds(broker: BrokerUrl) -> None:
    async with producing(broker) as producer:
        await producer.check()


async def test_a_broker_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.broker.producer.DELIVERY_TIMEOUT_S", 1.0)
    nowhere = BrokerUrl(f"127.0.0.1:{free_port()}")
    async with producing(nowhere) as producer:
        with pytest.raises(BrokerUnavailable):
            await producer.publish_all([(submitted(), None)])
        with pytest.raises(BrokerUnavailable):
            await producer.check()


async def test_a_subscription_reports_a_change_of_its_job(broker: BrokerUrl) -> None:
    job_id = str(uuid.uuid4())
    news = JobUpdated(
        job_id=job_id, status="pending", revision=1, updated_at="2026-01-02T03:04:05Z"
    )
    consumer = JobUpdateConsumer(broker)
    consumer.start()
    try:
        async with producing(broker) as producer:
            with consumer.subscribe(job_id) as subscription:

                async def reported() -> bool:
                    await producer.publish_all([(news, None)])
                    return await subscription.changed(0.1)

                await eventually(reported)
            with consumer.subscribe(str(uuid.uuid4())) as other:
                assert not await other.changed(0.05)
    finally:
        await asyncio.to_thread(consumer.stop)
