"""What every broker does for what we publish: the embedded one and Apache Kafka under one suite."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

from deploy.local.server import free_port
from streams.admin import create_topics
from streams.broker_url import BrokerUrl
from streams.codec import Decoder, Encoded
from streams.embedded import EmbeddedBroker
from streams.errors import BrokerUnavailable, EventTooLarge
from streams.events import ImageSubmitted, JobUpdated, Source
from streams.follower import JobFollower
from streams.producer import EventProducer
from streams.record import Record
from streams.topics import Topic, plan
from tests.polling import eventually, until
from tests.servers import KafkaServer

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
    create_topics(url, plan([], partitions=4, retention_days=90))
    return url


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


def messages(broker: BrokerUrl, topic: str, count: int) -> list[Message]:
    """Return the topic's messages from its beginning; wait for so many, or for one with that key."""
    consumer = Consumer({**broker.confluent(), "group.id": "tests", "log_level": 0})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    found: list[Message] = []

    def read() -> bool:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append(message)
        return len(found) >= count

    try:
        until(read, 20)
    finally:
        consumer.close()
    return found


def recorded(message: Message) -> Record:
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )


async def test_what_is_published_lies_on_its_topic(broker: BrokerUrl) -> None:
    event = submitted()
    async with producing(broker) as producer:
        await producer.publish(event, traceparent=TRACE)

    def arrived() -> list[Record]:
        found = [recorded(each) for each in messages(broker, event.topic, 1)]
        return [each for each in found if each.key == event.job_id.encode()]

    (record,) = await eventually(lambda: asyncio.to_thread(arrived), 20)
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


async def test_one_key_has_one_partition_whoever_asks(broker: BrokerUrl) -> None:
    """Java's clients and ours put a job's events on the same partition: murmur2, of Kafka."""
    topic = new_topic(broker, partitions=4)
    keys = [b"21", b"foobar", b"a-little-bit-long-string"]  # from Kafka's own tests of its hash
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


async def test_what_is_too_large_for_any_broker_says_so(broker: BrokerUrl) -> None:
    topic = new_topic(broker)
    async with producing(broker) as producer:
        with pytest.raises(EventTooLarge):
            await producer.send(letters(topic, bytes(3_000_000)))
        await producer.send(letters(topic, b"the next one"))


async def test_a_broker_that_answers_is_well(broker: BrokerUrl) -> None:
    async with producing(broker) as producer:
        await producer.check()


async def test_a_broker_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.producer.DELIVERY_TIMEOUT_S", 1.0)
    nowhere = BrokerUrl(f"127.0.0.1:{free_port()}")
    async with producing(nowhere) as producer:
        with pytest.raises(BrokerUnavailable):
            await producer.publish(submitted())
        with pytest.raises(BrokerUnavailable):
            await producer.check()


async def test_a_follower_hears_of_a_job_at_once(broker: BrokerUrl) -> None:
    news = JobUpdated(
        job_id=str(uuid.uuid4()), status="pending", revision=1, updated_at="2026-01-02T03:04:05Z"
    )
    follower = JobFollower(broker.confluent())
    follower.start()
    try:
        async with producing(broker) as producer:
            hearing = asyncio.create_task(follower.wait(news.job_id, 20.0))

            async def told() -> bool:
                await producer.publish(news)
                return hearing.done()

            await eventually(told, 20)
            assert await hearing
            assert not await follower.wait(str(uuid.uuid4()), 0.05)
    finally:
        await asyncio.to_thread(follower.stop)


# -- Apache Kafka's own --------------------------------------------------------------------------


def test_topics_are_created_as_planned(kafka_server: KafkaServer) -> None:
    broker = BrokerUrl.parse(kafka_server.url)
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    wanted = [
        Topic(f"{prefix}.{topic.name}", topic.partitions, topic.compacted, 3, topic.max_bytes)
        for topic in plan(["image-validated"], partitions=3, retention_days=3)
    ]
    names = [topic.name for topic in wanted]
    assert create_topics(broker, wanted) == names
    assert create_topics(broker, wanted) == []
    admin = AdminClient(broker.confluent())
    found = admin.list_topics(timeout=10).topics
    assert [len(found[topic.name].partitions) for topic in wanted] == [3, 3, 3, 3, 1]
    kinds = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    answers = admin.describe_configs(kinds)
    for kind, topic in zip(kinds, wanted, strict=True):
        config = {name: entry.value for name, entry in answers[kind].result(10).items()}
        assert {name: config[name] for name in topic.config} == topic.config


def test_no_topic_is_created_without_a_broker() -> None:
    nowhere = BrokerUrl(f"127.0.0.1:{free_port()}")
    with pytest.raises(BrokerUnavailable):
        create_topics(nowhere, [Topic("any", 1)], timeout_s=1.0)


async def test_a_dead_letter_may_be_larger_than_the_record_that_died(
    kafka_server: KafkaServer,
) -> None:
    broker = BrokerUrl.parse(kafka_server.url)
    create_topics(broker, plan([], partitions=4, retention_days=90))
    async with producing(broker) as producer:
        await producer.send(
            [Encoded("dead-letters", b"key", bytes(1_048_000), (("a", b"1" * 9_000),))]
        )
        with pytest.raises(EventTooLarge):  # the broker's word, where the topic has no such limit
            topic = new_topic(broker)
            incompressible = b"".join(uuid.uuid4().bytes for _ in range(80_000))
            await producer.send(letters(topic, incompressible))


async def test_a_producer_outlives_its_broker(
    kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.producer.DELIVERY_TIMEOUT_S", 1.0)
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

        await eventually(accepted, 40)
    found = await asyncio.to_thread(messages, broker, topic, 2)
    assert [found[0].value(), found[-1].value()] == [b"before", b"after"]


async def test_a_follower_outlives_its_broker(kafka_server: KafkaServer) -> None:
    broker = BrokerUrl.parse(kafka_server.url)
    create_topics(broker, plan([], partitions=4, retention_days=90))
    follower = JobFollower(broker.confluent())
    follower.start()
    job_id = str(uuid.uuid4())
    news = JobUpdated(job_id=job_id, status="failed", revision=2, updated_at="2026-01-02T03:04:05Z")
    try:
        await asyncio.to_thread(kafka_server.restart)
        async with producing(broker) as producer:
            hearing = asyncio.create_task(follower.wait(job_id, 60.0))

            async def told() -> bool:
                await producer.publish(news)
                return hearing.done()

            await eventually(told, 60)
            assert await hearing
    finally:
        await asyncio.to_thread(follower.stop)
