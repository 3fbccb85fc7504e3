"""The gateway publishes by itself what it accepted while Kafka was unavailable. No sweeper runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

from asking import JPEG, client, submit
from serving import first_message, serving

from gateway.submissions.backlog import Backlog
from streams.broker.connection import BrokerUrl
from streams.broker.topics import create_topics, system_topics
from streams.errors import BrokerUnavailable, EventTooLarge
from streams.events.models import Event, ImageSubmitted, JobDeleted, Source
from tests.polling import until
from tests.servers import KafkaServer


def test_what_was_accepted_during_an_outage_is_published_after_it(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    broker = BrokerUrl.parse(kafka_server.url)
    create_topics(broker, system_topics([], 2, 1))
    with serving(tmp_path, broker) as gateway, client(gateway) as http:
        submit(http, JPEG)
        with kafka_server.down():
            [first], [second] = submit(http, JPEG), submit(http, JPEG)
            assert http.delete(f"/v1/jobs/{second['job_id']}").status_code == 204
            assert "lookstream_gateway_backlog_events 3.0" in http.get("/metrics").text
        for entry in (first, second):
            message = first_message(broker, "image-submitted", entry["job_id"])
            assert json.loads(message.value() or b"")["job_id"] == entry["job_id"]
        assert first_message(broker, "job-deleted", second["job_id"])
        until(lambda: "lookstream_gateway_backlog_events 0.0" in http.get("/metrics").text)
        [entry] = submit(http, JPEG)
        assert first_message(broker, "image-submitted", entry["job_id"])


class ScriptedPublisher:
    """A publisher that is unavailable until `available`. It refuses the events in ``large``."""

    def __init__(self, large: frozenset[str] = frozenset()) -> None:
        self.available = False
        self.published: list[str] = []
        self._large = large

    async def publish_all(self, events: Iterable[tuple[Event, str | None]]) -> None:
        ids = [event.job_id for event, _ in events]
        if not self.available:
            raise BrokerUnavailable("no broker")
        if self._large & set(ids):
            raise EventTooLarge("too large")
        self.published += ids

    async def check(self) -> None: ...


def uuid(number: int) -> str:
    return f"01a20801-845d-768b-82dd-{number:012d}"


async def empty(backlog: Backlog) -> None:
    async with asyncio.timeout(20):
        while backlog:  # noqa: ASYNC110 - nothing in the product waits for this
            await asyncio.sleep(0)


async def test_the_order_is_kept_and_one_refused_event_stops_no_other() -> None:
    publisher = ScriptedPublisher(large=frozenset({uuid(3)}))
    backlog = Backlog(publisher)
    for number in range(500):
        backlog.add([(JobDeleted(job_id=uuid(number)), None)])
    publisher.available = True
    await empty(backlog)
    assert list(dict.fromkeys(publisher.published)) == [uuid(n) for n in range(500) if n != 3]
    await backlog.close()


async def test_the_memory_is_limited() -> None:
    backlog = Backlog(ScriptedPublisher(), largest=10_000)
    large = {"text": "a" * 2_000}
    for number in range(20):
        event = ImageSubmitted(
            job_id=uuid(number), source=Source(url="http://a.example/"), metadata=large
        )
        backlog.add([(event, None)])
    assert 0 < len(backlog) < 5
    await backlog.close()
