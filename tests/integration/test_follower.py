"""The follower on a real broker: hears of changes, tells listeners how, and outlives the broker."""

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
    """A follower and a producer on one broker."""

    def __init__(self, follower: JobUpdateConsumer, producer: EventProducer) -> None:
        self.follower = follower
        self.feed = follower.feed
        self.producer = producer

    async def publish(self, job_id: str, revision: int = 1, group: str | None = None) -> None:
        await self.producer.publish(updated(job_id, revision, group))

    async def follows(self) -> None:
        """Return when nothing is missed any more."""
        await eventually(lambda: self.follower.following)

    async def hears(self, job_id: str) -> bool:
        """Publish until it is heard: partitions are found only after a while."""
        for _ in range(40):
            with self.follower.subscribe(job_id) as watch:
                await self.publish(job_id)
                if await watch.changed(0.25):
                    return True
        return False


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
    follower = JobUpdateConsumer(broker.confluent())
    follower.start()
    try:
        async with producing(broker) as producer:
            yield Running(follower, producer)
    finally:
        await asyncio.to_thread(follower.stop)


@pytest.fixture
async def running(broker: BrokerUrl) -> AsyncIterator[Running]:
    async with following(broker) as pair:
        yield pair


async def told(mailbox: Mailbox, revision: int) -> list[JobUpdated]:
    """Return the news up to that revision."""
    found: list[JobUpdated] = []

    async def complete() -> bool:
        await mailbox.wait(0.5)
        found.extend(news.update for news in mailbox.take())
        return bool(found) and found[-1].revision == revision

    await eventually(complete)
    return found


async def test_a_waiter_hears_of_its_job_and_of_no_other(running: Running) -> None:
    mine, other = job(), job()
    assert await running.hears(mine)
    other_waiting = asyncio.create_task(running.follower.wait(other, 0.5))
    waiting = asyncio.create_task(running.follower.wait(mine, 10))
    await asyncio.sleep(0)  # both are listening now
    await running.publish(mine)
    assert await waiting
    assert not await other_waiting


async def test_a_change_before_the_wait_is_not_missed(running: Running) -> None:
    mine = job()
    assert await running.hears(mine)
    with running.follower.subscribe(mine) as early, running.follower.subscribe(mine) as late:
        await running.publish(mine)
        assert await early.changed(10)
        assert await late.changed(0.1)
        assert not await early.changed(0)


async def test_nothing_is_kept_of_those_who_left(running: Running) -> None:
    mine = job()
    for _ in range(3):
        assert not await running.follower.wait(mine, 0)
        with (
            running.feed.subscribe_to_job(mine),
            running.feed.subscribe_to_group("a"),
            running.feed.subscribe_to_group(None),
        ):
            pass
    assert running.follower.waiting == 0
    assert running.feed.listeners == 0


async def test_listeners_are_told_the_new_state(running: Running) -> None:
    mine, other, group = job(), job(), job()
    with (
        running.feed.subscribe_to_job(mine) as of_job,
        running.feed.subscribe_to_group(group) as of_group,
        running.feed.subscribe_to_group(None) as of_all,
    ):
        await running.follows()
        await running.publish(other, 1)
        await running.publish(mine, 1, group)
        await running.publish(mine, 2, group)
        for mailbox in (of_job, of_group):
            news = await told(mailbox, 2)
            assert {each.job_id for each in news} == {mine}
            assert news[-1] == updated(mine, 2, group)
        await eventually(lambda: {other, mine} <= {n.update.job_id for n in of_all.take()} or None)


async def test_who_listened_before_it_began_is_told_of_a_gap(broker: BrokerUrl) -> None:
    """What was published until then may be missed, and nothing from then on."""
    mine = job()
    async with producing(broker) as producer:
        await producer.publish(updated(mine, 1))
        async with following(broker) as running:
            with running.feed.subscribe_to_job(mine) as mailbox:
                await eventually(mailbox.take_gap)
                for revision in range(2, 30):
                    await producer.publish(updated(mine, revision))
                news = await told(mailbox, 29)
    assert all(each.revision > 1 for each in news)


async def test_a_record_that_is_no_update_is_passed_over(running: Running) -> None:
    mine = job()
    with running.feed.subscribe_to_job(mine) as mailbox:
        await running.follows()
        await running.producer.send([Encoded("job-updated", mine.encode(), b"nonsense", ())])
        await running.publish(mine, 2)
        assert await told(mailbox, 2) == [updated(mine, 2)]


async def test_without_a_broker_it_waits_and_stops() -> None:
    follower = JobUpdateConsumer(BrokerUrl("127.0.0.1:1").confluent())
    follower.start()
    assert not await follower.wait(job(), 0.2)
    await asyncio.to_thread(follower.stop)
    follower.start()  # and may be started again
    await asyncio.to_thread(follower.stop)
