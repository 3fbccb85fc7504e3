"""The last barrier: no record stops its partition, whether it raises or ends its worker.

On the embedded broker and on Apache Kafka; each worker is a process.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker.connection import BrokerUrl, EmbeddedBroker
from streams.broker.records import Record
from streams.broker.topics import DEAD_LETTERS, Topic, create_topics
from tests.broking import messages
from tests.integration.worker_playground import Playground
from tests.raw_records import publish_with_bad_header_name


@pytest.fixture(scope="module", params=["embedded", "kafka"])
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "kafka":
        url = request.getfixturevalue("kafka_server").url
        create_topics(BrokerUrl.parse(url), [Topic(DEAD_LETTERS, 1)])
        yield url
        return
    broker = EmbeddedBroker()
    yield str(broker)
    broker.close()


@pytest.fixture
def playground(kafka: str, tmp_path: Path) -> Iterator[Playground]:
    with Playground(kafka, tmp_path).open() as playground:
        yield playground


def dead_letter(playground: Playground) -> dict[str, str]:
    """Return the value, code and attempts of the topic's dead letter."""
    own = playground.topic.encode()
    (letter,) = messages(
        BrokerUrl.parse(playground.kafka),
        DEAD_LETTERS,
        wanted=lambda each: Record.received(each).header("__connect.errors.topic") == own,
    )
    headers = dict(Record.received(letter).headers)
    return {
        "value": letter.value().decode(),
        "code": headers["code"].decode(),
        "attempts": headers["attempts"].decode(),
    }


def test_a_record_that_raises_is_isolated_and_dead_lettered(playground: Playground) -> None:
    good = [f"job-{number}" for number in range(8)]
    playground.publish(*good[:3], "raise", *good[3:], partition=0)
    worker = playground.worker(batch=4, barrier=True)
    playground.all_done(good)
    assert dead_letter(playground) == {"value": "raise", "code": "record-error", "attempts": "3"}
    assert worker.running()


def test_a_record_that_ends_its_worker_is_counted_and_dead_lettered(
    playground: Playground,
) -> None:
    good = [f"job-{number}" for number in range(8)]
    playground.publish(*good[:3], "die", *good[3:], partition=0)
    for _ in range(2):
        assert playground.worker(batch=4, barrier=True).ended() == -9
    worker = playground.worker(batch=4, barrier=True)
    playground.all_done(good)
    expected = {"value": "die", "code": "record-ends-worker", "attempts": "2"}
    assert dead_letter(playground) == expected
    assert worker.running()


def test_a_record_beside_others_that_ends_its_worker_is_the_only_one_refused(
    playground: Playground,
) -> None:
    """Downloads are in work side by side, so a death of the worker does not tell which record ended
    it. The record is in work alone at the last try; the others are finished."""
    good = [f"job-{number}" for number in range(40)]
    playground.publish(*good[:3], "die", *good[3:], partition=0)
    for _ in range(2):
        assert playground.worker(parallel=100, each=0.05, barrier=True).ended() == -9
    worker = playground.worker(parallel=100, each=0.05, barrier=True)
    playground.all_done(good)
    expected = {"value": "die", "code": "record-ends-worker", "attempts": "2"}
    assert dead_letter(playground) == expected
    assert playground.begun().count("die") == 2
    assert worker.running()


async def test_a_header_name_that_is_not_utf8_does_not_stop_the_partition(
    playground: Playground,
) -> None:
    """aiokafka cannot read such a record. The lenient reader can, and no other record is lost."""
    broker = BrokerUrl.parse(playground.kafka)
    playground.publish("job-0", "job-1", partition=0)
    await publish_with_bad_header_name(broker, playground.topic, b"key", b"odd")
    playground.publish("job-2", partition=0)
    worker = playground.worker(barrier=True)
    playground.all_done(["job-0", "job-1", "odd", "job-2"])
    assert worker.running()
