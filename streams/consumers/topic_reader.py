"""Read every partition of a topic outside any consumer group.

`TopicReader` wraps one Kafka consumer. `TopicFollower` runs a reader on a thread: it discovers
partitions, assigns them, polls, and stops. Nothing is committed, so each process reads all records.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from typing import ClassVar, Self
from uuid import uuid4

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from streams.broker.connection import BrokerUrl
from streams.errors import BrokerUnavailable

log = structlog.get_logger(__name__)

# librdkafka's in-process broker answers an empty fetch only after fetch.wait.max.ms, even if a
# record arrives earlier. The default of 500 ms would delay records by up to 500 ms.
FETCH_WAIT_MS = 20
METADATA_TIMEOUT_S = 2.0
OFFSETS_TIMEOUT_S = 10.0
POLL_S = 0.2
BATCH = 500
REFRESH_KNOWN_S = 30.0
REFRESH_UNKNOWN_S = 1.0


class TopicReader:
    """A consumer of all partitions of one topic. Methods raise `BrokerUnavailable`.

    ``partitions`` are the numbers of the assigned partitions. ``reached_broker`` is set by
    `TopicFollower` after the first successful discovery.
    """

    def __init__(
        self,
        broker: BrokerUrl,
        topic: str,
        *,
        name: str,
        fetch_wait_ms: int = FETCH_WAIT_MS,
        timeout_s: float = METADATA_TIMEOUT_S,
    ) -> None:
        self.partitions: set[int] = set()
        self.reached_broker = False
        self._topic = topic
        self._embedded = broker.embedded
        self._timeout_s = timeout_s
        self._consumer = Consumer({
            "fetch.wait.max.ms": fetch_wait_ms,
            "reconnect.backoff.max.ms": 1000,
            "log_level": 2,
            **broker.confluent(),
            "group.id": f"lookstream-{name}-{uuid4()}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            # For an offset that no longer exists: reading a record twice is better than missing it.
            "auto.offset.reset": "earliest",
            "error_cb": lambda error: _log_outage(name, error),
        })  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def new_partitions(self) -> list[int]:
        """Return the topic's partitions that are not assigned; none if the topic does not exist."""
        with self._translated():
            topics = self._consumer.list_topics(self._topic, timeout=self._timeout_s).topics
            found = topics.get(self._topic)
            if found is None or _is_unknown_topic(found.error):
                return []
            if found.error is not None:
                raise KafkaException(found.error)
            return sorted(set(found.partitions) - self.partitions)

    def offsets_since(
        self, partitions: Iterable[int], since: datetime | None, *, margin_s: float = 0.0
    ) -> dict[int, int]:
        """Return the offset of each partition's first record at or after ``since - margin_s``.

        Without ``since``, return the beginning. The embedded broker cannot look up offsets by time,
        so there the result is the beginning too, and the caller must compare times itself. If all
        records of a partition are older, return `OFFSET_END`.
        """
        if since is None or self._embedded:
            return dict.fromkeys(partitions, OFFSET_BEGINNING)
        time_ms = max(0, int((since.timestamp() - margin_s) * 1000))
        wanted = [TopicPartition(self._topic, number, time_ms) for number in partitions]
        if not wanted:  # librdkafka refuses an empty list
            return {}
        with self._translated():
            found = self._consumer.offsets_for_times(wanted, timeout=OFFSETS_TIMEOUT_S)
        # A negative offset means that every record is older.
        return {
            place.partition: place.offset if place.offset >= 0 else OFFSET_END for place in found
        }

    def end_offsets(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset after each partition's last record, as of now.

        `OFFSET_END` cannot replace this method: Kafka would determine the end only at the first
        fetch, and the records written before that fetch would be missed.
        """
        with self._translated():
            return {
                number: self._consumer.get_watermark_offsets(
                    TopicPartition(self._topic, number), timeout=self._timeout_s
                )[1]
                for number in partitions
            }

    def assign(self, offsets: Mapping[int, int]) -> None:
        """Start reading each partition at its offset."""
        places = [TopicPartition(self._topic, number, at) for number, at in offsets.items()]
        if places:
            with self._translated():
                self._consumer.incremental_assign(places)
        self.partitions.update(offsets)

    def pause(self, partition: int) -> None:
        """Stop reading a partition."""
        self._consumer.pause([TopicPartition(self._topic, partition)])

    def poll(self, timeout_s: float = POLL_S) -> list[Message]:
        """Return the messages that have arrived; wait up to ``timeout_s`` for the first.

        A message may be an error, such as the end of a partition (`at_end`).
        """
        with self._translated():
            first = self._consumer.poll(timeout_s)
            if first is None:
                return []
            # consume() waits until the batch is full, so its time-out is 0.
            return [first, *self._consumer.consume(BATCH, timeout=0)]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise BrokerUnavailable(f"topic {self._topic}: {error.args[0].str()}") from error


class TopicFollower(ABC):
    """Follows one topic on a thread of its own until `stop`.

    A subclass names the ``topic``, a ``name`` for logs, where to start reading, and how to handle
    messages. Its hooks run on the thread. While Kafka is unavailable, nothing is read.
    """

    topic: ClassVar[str]
    name: ClassVar[str]
    fetch_wait_ms: ClassVar[int] = FETCH_WAIT_MS

    def __init__(self, broker: BrokerUrl) -> None:
        self._broker = broker
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._follow, name=self.name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for its end, at most 5 seconds."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    @abstractmethod
    def _start_offsets(self, reader: TopicReader, partitions: Sequence[int]) -> dict[int, int]:
        """Return the offset at which to start reading each new partition."""

    @abstractmethod
    def _discovered(self, reader: TopicReader, partitions: Sequence[int]) -> None:
        """Handle a successful discovery; ``partitions`` are the new ones, perhaps none."""

    @abstractmethod
    def _handle(self, messages: Sequence[Message]) -> None:
        """Handle the messages of one poll, including errors."""

    def _follow(self) -> None:
        with TopicReader(
            self._broker, self.topic, name=self.name, fetch_wait_ms=self.fetch_wait_ms
        ) as reader:
            refresh_at = 0.0
            while not self._stopping.is_set():
                if monotonic() >= refresh_at:
                    self._discover(reader)
                    pause = REFRESH_KNOWN_S if reader.partitions else REFRESH_UNKNOWN_S
                    refresh_at = monotonic() + pause
                if messages := reader.poll():
                    self._handle_all(messages)

    def _handle_all(self, messages: Sequence[Message]) -> None:
        try:
            self._handle(messages)
        except Exception:  # one record must not end the thread
            log.exception("messages_skipped", consumer=self.name, count=len(messages))

    def _discover(self, reader: TopicReader) -> None:
        try:
            new = reader.new_partitions()
            reader.assign(self._start_offsets(reader, new))
        except BrokerUnavailable as error:
            log.debug("broker_unavailable", consumer=self.name, error=str(error))
            return
        self._discovered(reader, new)
        reader.reached_broker = True


def at_end(message: Message) -> bool:
    """Tell whether the message reports the end of its partition."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def _is_unknown_topic(error: KafkaError | None) -> bool:
    return error is not None and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def _log_outage(consumer: str, error: KafkaError) -> None:
    # librdkafka also reports each refused connection, dozens a second.
    if error.code() == KafkaError._ALL_BROKERS_DOWN:
        log.debug("broker_unavailable", consumer=consumer, error=error.str())
