"""The consumer of job updates on a real broker: subscriptions, listeners and gaps."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from streams.broker.connection import BrokerUrl, EmbeddedBroker
from streams.broker.producer import EventProducer
from streams.broker.topics import create_topics, system_topics
from streams.consumers.feed import Mailbox
from streams.consumers.job_updates import JobUpdateConsumer
from streams.events.codec import Encoded
from streams.events.models import JobUpdated
from tests.broking import producing
from tests.polling import eventually
from tests.raw_records import publish_with_bad_header_name


def job() -> str:
    return str(uuid.uuid4())


def updated(job_id: str, revision: int = 1, group: str | None = None) -> JobUpdated:
    return JobUpdated(
        job_id=job_id,
        status="processing",
        revision=revision,
        updated_at="2026-01-01T00:00:00Z",
        group=group,
        stages={"validation": "completed"},
    )


class Running:
    """A consumer of job updates and a producer on one broker."""

    def __init__(self, consumer: JobUpdateConsumer, producer: EventProducer) -> None:
        self.consumer = consumer
        self.feed = consumer.feed
        self.producer = producer

    async def publish(self, job_id: str, revision: int = 1, group: str | None = None) -> None:
        await self.producer.publish_all([(updated(job_id, revision, group), None)])


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.real_servers)])
def broker(request: pytest.FixtureRequest) -> Iterator[BrokerUrl]:
    if request.param == "embedded":
        own = EmbeddedBroker()
        yield own.url
        own.close()
        return
    url = BrokerUrl.parse(request.getfixturevalue("kafka_server").url)
    create_topics(url, system_topics([], partitions=4, retention_days=90))
    yield url


@asynccontextmanager
async def following(broker: BrokerUrl) -> AsyncIterator[Running]:
    """Start a consumer and wait until it misses no update from then on."""
    consumer = JobUpdateConsumer(broker)
    try:
        with consumer.feed.subscribe_to_group(None) as mailbox:
            consumer.start()
            await eventually(mailbox.take_gap)
        async with producing(broker) as producer:
            yield Running(consumer, producer)
    finally:
        await asyncio.to_thread(consumer.stop)


@pytest.fixture
async def running(broker: BrokerUrl) -> AsyncIterator[Running]:
    async with following(broker) as pair:
        yield pair


async def test_a_record_with_an_unreadable_header_name_does_not_end_the_consumer(
    running: Running, broker: BrokerUrl
) -> None:
    job_id = job()
    with running.feed.subscribe_to_group(None) as mailbox:
        for partition in range(4):
            await publish_with_bad_header_name(
                broker, "job-updated", job_id.encode(), b"{}", partition=partition
            )
        await running.publish(job_id, 2)
        assert [update.job_id for update in await told(mailbox, 2)] == [job_id]


async def told(mailbox: Mailbox, revision: int) -> list[JobUpdated]:
    """Return the updates up to that revision."""
    found: list[JobUpdated] = []

    async def complete() -> bool:
        await mailbox.wait(0.5)
        found.extend(news.update for news in mailbox.take())
        return bool(found) and found[-1].revision == revision

    await eventually(complete)
    return found


async def test_a_subscription_reports_changes_of_its_job_only(running: Running) -> None:
    mine, other = job(), job()
    with running.consumer.subscribe(mine) as own, running.consumer.subscribe(other) as others:
        await running.publish(mine)
        assert await own.changed(20)
        assert not await others.changed(0.2)


async def test_each_subscription_keeps_a_change_until_it_is_asked(running: Running) -> None:
    mine = job()
    with running.consumer.subscribe(mine) as early, running.consumer.subscribe(mine) as late:
        await running.publish(mine)
        assert await early.changed(20)
        assert await late.changed(0.1)
        assert not await early.changed(0)


async def test_an_ended_subscription_leaves_no_mailbox(running: Running) -> None:
    mine = job()
    for _ in range(3):
        with (
            running.feed.subscribe_to_job(mine),
            running.feed.subscribe_to_group("a"),
            running.feed.subscribe_to_group(None),
        ):
            pass
    assert running.feed.listeners == 0


async def test_listeners_are_told_the_new_state(running: Running) -> None:
    mine, other, group = job(), job(), job()
    with (
        running.feed.subscribe_to_job(mine) as of_job,
        running.feed.subscribe_to_group(group) as of_group,
        running.feed.subscribe_to_group(None) as of_all,
    ):
        await running.publish(other, 1)
        await running.publish(mine, 1, group)
        await running.publish(mine, 2, group)
        for mailbox in (of_job, of_group):
            news = await told(mailbox, 2)
            assert {each.job_id for each in news} == {mine}
            assert news[-1] == updated(mine, 2, group)
        await eventually(lambda: {other, mine} <= {n.update.job_id for n in of_all.take()} or None)


async def test_updates_from_before_the_start_are_not_delivered(broker: BrokerUrl) -> None:
    """A listener from before the start gets a gap, and no update is missing from then on."""
    mine = job()
    async with producing(broker) as producer:
        await producer.publish_all([(updated(mine, 1), None)])
        async with following(broker) as running:
            with running.feed.subscribe_to_job(mine) as mailbox:
                await producer.publish_all([(updated(mine, n), None) for n in range(2, 30)])
                news = await told(mailbox, 29)
    assert all(each.revision > 1 for each in news)


async def test_a_record_that_is_no_update_is_passed_over(running: Running) -> None:
    mine = job()
    with running.feed.subscribe_to_job(mine) as mailbox:
        await running.producer.send([Encoded("job-updated", mine.encode(), b"nonsense", ())])
        await running.publish(mine, 2)
        assert await told(mailbox, 2) == [updated(mine, 2)]


async def test_without_a_broker_the_consumer_waits_and_stops() -> None:
    consumer = JobUpdateConsumer(BrokerUrl("127.0.0.1:1"))
    consumer.start()
    with consumer.subscribe(job()) as subscription:
        assert not await subscription.changed(0.2)
    await asyncio.to_thread(consumer.stop)
    consumer.start()  # a stopped consumer can be started again
    await asyncio.to_thread(consumer.stop)
