"""Read a topic's existing events, from a time or the beginning to the topic's present end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from streams.broker.connection import BrokerUrl
from streams.broker.records import Record
from streams.consumers.topic_reader import TopicReader, at_end
from streams.errors import BrokerUnavailable, UndecodableEvent
from streams.events.codec import Decoder, Envelope
from streams.events.models import Event

TIMEOUT_S = 10.0
SILENCE_S = 30.0
SKEW_S = 600.0
"""Kafka looks up offsets by the time of the record, which may differ from the event's own time."""


class TopicHistory:
    """Reads topics without affecting their consumers. Blocking: call it in a thread.

    Reading fails with `BrokerUnavailable` after ``silence_s`` seconds without a message.
    """

    def __init__(
        self, broker: BrokerUrl, models: Iterable[type[Event]], *, silence_s: float = SILENCE_S
    ) -> None:
        self._broker = broker
        self._decoder = Decoder(models)
        self._silence_s = silence_s

    def read(self, topic: str, since: datetime | None = None) -> Iterator[Envelope | None]:
        """Yield the events of a topic, from some minutes before ``since`` to the present end.

        Callers compare the events' times themselves. Without ``since``, and on the embedded broker,
        reading starts at the beginning. Yields None for a record that is not an event of the topic.
        An event without a time gets the record's time. A topic that does not exist is empty. Raises
        `BrokerUnavailable`.
        """
        with TopicReader(self._broker, topic, name="history", timeout_s=TIMEOUT_S) as reader:
            partitions = reader.new_partitions()
            starts = reader.offsets_since(partitions, since, margin_s=SKEW_S)
            ends = {number: end for number, end in reader.end_offsets(partitions).items() if end}
            reader.assign({number: starts[number] for number in ends})
            for message in self._messages(reader, ends):
                yield self._envelope(message)

    def _messages(self, reader: TopicReader, ends: dict[int, int]) -> Iterator[Message]:
        """Yield the messages with offsets below ``ends``, the end of each partition. Removes each
        finished partition from ``ends``."""
        last_message = monotonic()
        while ends:
            messages = reader.poll()
            if messages:
                last_message = monotonic()
            elif monotonic() - last_message > self._silence_s:
                raise BrokerUnavailable(f"no message for {self._silence_s:g} s")
            for message in messages:
                partition = message.partition()
                end = ends.get(partition, 0)
                is_record = message.error() is None
                if is_record and message.offset() < end:
                    yield message
                # Compaction may have removed the last records: then only the end is reported.
                finished = at_end(message) or (is_record and message.offset() + 1 >= end)
                if finished and ends.pop(partition, None) is not None:
                    reader.pause(partition)

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
