"""Reading a topic's existing events on the embedded broker and on Apache Kafka."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Producer

from streams.broker.connection import BrokerUrl, EmbeddedBroker
from streams.broker.topics import Topic, create_topics
from streams.consumers.history import TopicHistory
from streams.errors import BrokerUnavailable
from streams.events.models import ImageSubmitted
from tests.servers import KafkaServer

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@dataclass
class Past:
    """A topic with events that a plain Kafka client wrote."""

    broker: BrokerUrl
    topic: str

    @property
    def history(self) -> TopicHistory:
        model = type("OnTopic", (ImageSubmitted,), {"topic": self.topic})
        return TopicHistory(self.broker, [model], silence_s=20)

    def write(self, *times: datetime | None, said: bool = True) -> list[str]:
        """Write one event per time. The event contains the time only if ``said``."""
        job_ids = [str(uuid.uuid4()) for _ in times]
        producer = Producer({**self.broker.confluent(), "linger.ms": 0})
        for job_id, time in zip(job_ids, times, strict=True):
            facts: dict[str, Any] = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/t"}
            facts["ce_type"] = f"lookstream.{self.topic}.v1"
            if time and said:
                facts["ce_time"] = time.isoformat()
            producer.produce(
                self.topic,
                json.dumps({"job_id": job_id, "source": {"url": "u"}}).encode(),
                job_id.encode(),
                headers=[(name, value.encode()) for name, value in facts.items()],
                timestamp=int(time.timestamp() * 1000) if time else 0,
            )
        assert producer.flush(20) == 0
        return job_ids

    def write_junk(self) -> None:
        producer = Producer(self.broker.confluent())
        producer.produce(self.topic, b"junk")
        assert producer.flush(20) == 0

    def read(self, since: datetime | None = None) -> list[str | None]:
        return [each and each.event.job_id for each in self.history.read(self.topic, since)]


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.real_servers)])
def past(request: pytest.FixtureRequest) -> Iterator[Past]:
    topic = f"past-{uuid.uuid4().hex[:8]}"
    if request.param == "embedded":
        embedded = EmbeddedBroker()
        yield Past(embedded.url, topic)
        embedded.close()
        return
    server: KafkaServer = request.getfixturevalue("kafka_server")
    broker = BrokerUrl.parse(server.url)
    create_topics(broker, [Topic(topic, 4)])
    yield Past(broker, topic)


def test_all_events_are_read_and_undecodable_records_are_reported(past: Past) -> None:
    job_ids = past.write(*[NOW] * 300)
    past.write_junk()
    found = past.read()
    assert found.count(None) == 1
    assert sorted(filter(None, found)) == sorted(job_ids)


def test_events_written_during_a_read_are_not_read(past: Past) -> None:
    job_ids = past.write(*[NOW] * 40)
    reading = past.history.read(past.topic)
    first = next(reading)
    past.write(*[NOW] * 40)
    found = [each.event.job_id for each in (first, *reading) if each]
    assert sorted(found) == sorted(job_ids)


@pytest.mark.parametrize("since", [None, NOW - DAY])
def test_a_topic_that_does_not_exist_is_empty(past: Past, since: datetime | None) -> None:
    assert Past(past.broker, f"{past.topic}-not").read(since) == []


def test_only_events_since_a_time_are_read(past: Past) -> None:
    past.write(*[NOW - 3 * DAY] * 20)
    new = past.write(*[NOW] * 20)
    assert set(new) <= set(past.read(since=NOW - DAY))


def test_an_event_without_a_time_gets_the_records_time(past: Past) -> None:
    past.write(NOW - DAY, said=False)
    (envelope,) = past.history.read(past.topic)
    assert envelope is not None
    assert envelope.time == NOW - DAY


def test_kafka_itself_finds_where_a_time_begins(kafka_server: KafkaServer) -> None:
    broker = BrokerUrl.parse(kafka_server.url)
    past = Past(broker, f"past-{uuid.uuid4().hex[:8]}")
    create_topics(broker, [Topic(past.topic, 4)])
    past.write(*[NOW - 3 * DAY] * 20)
    new = past.write(*[NOW] * 20)
    assert sorted(filter(None, past.read(since=NOW - DAY))) == sorted(new)
    assert past.read(since=NOW + DAY) == []


def test_a_broker_that_is_away_says_so() -> None:
    history = TopicHistory(BrokerUrl("127.0.0.1:9"), [ImageSubmitted])
    with pytest.raises(BrokerUnavailable):
        list(history.read("image-submitted"))
