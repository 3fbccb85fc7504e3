"""A topic's past: every event in it, from a time or its beginning to where it ends now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from uuid import uuid4

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from streams.broker.connection import BrokerUrl
from streams.broker.records import Record
from streams.errors import BrokerUnavailable, UndecodableEvent
from streams.events.codec import Decoder, Envelope
from streams.events.models import Event

# Where to begin reading a topic whose past matters.
ASK_S = 10.0


def starts(
    consumer: Consumer,
    broker: BrokerUrl,
    topic: str,
    partitions: Iterable[int],
    since: datetime | None,
    margin_s: float = 0.0,
) -> list[TopicPartition]:
    """Return each partition with the offset of its first record at or after ``since``, or so many
    seconds before.

    From the beginning without ``since``, and on the embedded broker, which knows no times: the
    reader looks at each record's own. Raises `BrokerUnavailable`.
    """
    if since is None or broker.embedded:
        return [TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions]
    time = max(0, int((since.timestamp() - margin_s) * 1000))
    wanted = [TopicPartition(topic, number, time) for number in partitions]
    try:
        found = consumer.offsets_for_times(wanted, timeout=ASK_S)
    except KafkaException as error:
        raise BrokerUnavailable(f"topic {topic}: {error.args[0].str()}") from error
    for place in found:
        if place.offset < 0:  # everything in it is older
            place.offset = OFFSET_END
    return list(found)


SILENCE_S = 30.0
POLL_S = 0.5
# librdkafka's in-process broker holds every empty fetch for the whole of it.
FETCH_WAIT_MS = 20
SKEW_S = 600.0
"""Kafka finds a place by when the record came, and an event says when it was made."""


class TopicHistory:
    """Reads topics as they are, beside whoever works on them. Blocking: call it in a thread."""

    def __init__(
        self, broker: BrokerUrl, models: Iterable[type[Event]], *, silence_s: float = SILENCE_S
    ) -> None:
        self._broker = broker
        self._decoder = Decoder(models)
        self._silence_s = silence_s

    def read(self, topic: str, since: datetime | None = None) -> Iterator[Envelope | None]:
        """Yield each event from about ``since`` up to what is the topic's end at the start.

        None stands for a record that is no event of the topic's. An event that does not say when
        it was made has the record's time. A topic that is not there is empty. Raises
        `BrokerUnavailable`.
        """
        with self._reading() as consumer:
            places = self._places(consumer, topic, since)
            for message in self._messages(consumer, places):
                yield self._envelope(message)

    @contextmanager
    def _reading(self) -> Iterator[Consumer]:
        consumer = Consumer(
            {
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "log_level": 0,
                **self._broker.confluent(),
                "group.id": f"lookstream-history-{uuid4()}",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            }
        )
        try:
            yield consumer
        except KafkaException as error:
            raise BrokerUnavailable(error.args[0].str()) from error
        finally:
            consumer.close()

    def _places(
        self, consumer: Consumer, topic: str, since: datetime | None
    ) -> dict[TopicPartition, int]:
        """Return where to begin in each partition that has anything, and where to end."""
        found = consumer.list_topics(topic, timeout=ASK_S).topics.get(topic)
        if found is None or found.error is not None:
            return {}
        partitions = sorted(found.partitions)
        begins = starts(consumer, self._broker, topic, partitions, since, margin_s=SKEW_S)
        ends = {place: consumer.get_watermark_offsets(place, timeout=ASK_S)[1] for place in begins}
        return {place: end for place, end in ends.items() if end > 0}

    def _messages(self, consumer: Consumer, places: dict[TopicPartition, int]) -> Iterator[Message]:
        ends = {place.partition: end for place, end in places.items()}
        consumer.assign(list(places))
        heard = monotonic()
        while ends:
            message = consumer.poll(POLL_S)
            if message is None:
                if monotonic() - heard > self._silence_s:
                    raise BrokerUnavailable(f"nothing came for {self._silence_s:g} s")
                continue
            heard = monotonic()
            partition, fault = message.partition(), message.error()
            if fault is None and message.offset() < ends.get(partition, 0):
                yield message
            # The last offsets may hold nothing to read, such as what compaction took.
            at_end = fault is not None and fault.code() == KafkaError._PARTITION_EOF
            if at_end or (fault is None and message.offset() + 1 >= ends.get(partition, 0)):
                ends.pop(partition, None)
                consumer.pause([TopicPartition(message.topic(), partition)])

    def _envelope(self, message: Message) -> Envelope | None:
        record = Record.received(message)
        try:
            envelope = self._decoder.decode(record)
        except UndecodableEvent:
            return None
        kind, milliseconds = message.timestamp()
        if record.header("ce_time") or kind == TIMESTAMP_NOT_AVAILABLE:
            return envelope
        return replace(envelope, time=datetime.fromtimestamp(milliseconds / 1000, UTC))
