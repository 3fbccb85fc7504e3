"""The follower on a real broker: hears of changes, and outlives the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from streams.broker_url import BrokerUrl
from streams.embedded import EmbeddedBroker
from streams.events import JobUpdated
from streams.follower import JobFollower
from streams.producer import EventProducer

JOB = "01a20801-845d-768b-82dd-f448762e99cb"
OTHER = "01a20801-845d-768b-82dd-f448762e99cc"


class Running:
    """A follower and a producer on one broker."""

    def __init__(self, broker: BrokerUrl) -> None:
        self.follower = JobFollower(broker.confluent())
        self.producer = EventProducer(broker, source="/tests")

    async def publish(self, job_id: str) -> None:
        await self.producer.publish(
            JobUpdated(
                job_id=job_id, status="completed", revision=1, updated_at="2026-01-01T00:00:00Z"
            )
        )

    async def hears(self, job_id: str) -> bool:
        """Publish until it is heard: partitions are found only after a while."""
        for _ in range(40):
            with self.follower.watch(job_id) as watch:
                await self.publish(job_id)
                if await watch.changed(0.25):
                    return True
        return False


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    broker = EmbeddedBroker()
    pair = Running(broker.url)
    pair.follower.start()
    yield pair
    await asyncio.to_thread(pair.follower.stop)
    pair.producer.close()
    broker.close()


async def test_a_waiter_hears_of_its_job_and_of_no_other(running: Running) -> None:
    assert await running.hears(JOB)
    other = asyncio.create_task(running.follower.wait(OTHER, 0.5))
    mine = asyncio.create_task(running.follower.wait(JOB, 10))
    await asyncio.sleep(0)  # both are listening now
    await running.publish(JOB)
    assert await mine
    assert not await other


async def test_a_change_before_the_wait_is_not_missed(running: Running) -> None:
    assert await running.hears(JOB)
    with running.follower.watch(JOB) as early, running.follower.watch(JOB) as late:
        await running.publish(JOB)
        assert await early.changed(10)
        assert await late.changed(0.1)
        assert not await early.changed(0)


async def test_nothing_is_kept_of_those_who_left(running: Running) -> None:
    for _ in range(3):
        assert not await running.follower.wait(JOB, 0)
    assert running.follower.waiting == 0


async def test_without_a_broker_it_waits_and_stops() -> None:
    follower = JobFollower(BrokerUrl("127.0.0.1:1").confluent())
    follower.start()
    assert not await follower.wait(JOB, 0.2)
    await asyncio.to_thread(follower.stop)
    follower.start()  # and may be started again
    await asyncio.to_thread(follower.stop)
