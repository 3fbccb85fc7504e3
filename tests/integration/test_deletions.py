"""A worker's set of deleted jobs, on the embedded broker and on Apache Kafka."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from confluent_kafka import Producer

from streams.broker.connection import BrokerUrl, EmbeddedBroker
from streams.broker.topics import JOB_DELETED, Topic, create_topics
from streams.consumers.deletions import DeletedJobs
from streams.events.codec import encode
from streams.events.models import JobDeleted
from tests.polling import until
from tests.servers import KafkaServer


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.real_servers)])
def broker(request: pytest.FixtureRequest) -> Iterator[BrokerUrl]:
    if request.param == "embedded":
        embedded = EmbeddedBroker()
        yield embedded.url
        embedded.close()
        return
    server: KafkaServer = request.getfixturevalue("kafka_server")
    url = BrokerUrl.parse(server.url)
    create_topics(url, [Topic(JOB_DELETED, 4)])
    yield url


@contextmanager
def following(broker: BrokerUrl, **options: object) -> Iterator[DeletedJobs]:
    deleted = DeletedJobs(broker, **options)  # type: ignore[arg-type]
    deleted.start()
    try:
        yield deleted
    finally:
        deleted.stop()


def delete(broker: BrokerUrl, *job_ids: str) -> None:
    """Publish deletions to one partition, so that they stay in order."""
    producer = Producer({**broker.confluent(), "linger.ms": 0})
    for job_id in job_ids:
        made = encode(JobDeleted(job_id=job_id), source="/tests")
        headers = list(made.headers)
        producer.produce(made.topic, made.value, made.key, partition=0, headers=headers)
    assert producer.flush(20) == 0


def new_jobs(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


def test_what_was_deleted_before_and_after_the_start_is_known(broker: BrokerUrl) -> None:
    early, late, living = new_jobs(3)
    delete(broker, early)
    with following(broker) as deleted:
        assert deleted.caught_up(20)
        assert early in deleted
        delete(broker, late)
        until(lambda: late in deleted)
        assert living not in deleted


def test_without_deletions_the_consumer_is_caught_up_at_once() -> None:
    embedded = EmbeddedBroker()
    with following(embedded.url) as deleted:
        assert deleted.caught_up(10)
        (job,) = new_jobs(1)
        delete(embedded.url, job)
        until(lambda: job in deleted)
    embedded.close()


def test_only_the_latest_are_kept(broker: BrokerUrl) -> None:
    with following(broker, keep=20) as deleted:
        assert deleted.caught_up(20)
        jobs, (last,) = new_jobs(200), new_jobs(1)
        delete(broker, *jobs)
        delete(broker, last)
        until(lambda: last in deleted)
        assert sum(job in deleted for job in jobs) < 20


def test_old_deletions_are_not_read(kafka_server: KafkaServer) -> None:
    broker = BrokerUrl.parse(kafka_server.url)
    create_topics(broker, [Topic(JOB_DELETED, 4)])
    old, new = new_jobs(2)
    delete(broker, old)
    with following(broker, back=timedelta(seconds=-60)) as deleted:  # from the next minute on
        assert deleted.caught_up(20)
        delete(broker, new)
        until(lambda: new in deleted)
        assert old not in deleted


def test_an_unavailable_broker_is_waited_for_without_log_lines() -> None:
    with following(BrokerUrl("127.0.0.1:9")) as deleted:
        assert not deleted.caught_up(0.1)
