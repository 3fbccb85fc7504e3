"""The idempotent producer: an event is published once all in-sync replicas have it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.broker.connection import BrokerUrl
from streams.broker.topics import DEAD_LETTER_BYTES
from streams.errors import BrokerUnavailable, EventTooLarge, StreamError
from streams.events.codec import Encoded, encode
from streams.events.models import Event

DELIVERY_TIMEOUT_S = 10.0


class EventProducer:
    """Publishes events and waits for the broker's acknowledgement (``acks=all``, idempotent).

    ``source`` is the CloudEvents source of its events. One producer per process is enough. After
    a fatal error of librdkafka's producer, a new one replaces it.
    """

    def __init__(self, broker: BrokerUrl, *, source: str) -> None:
        self._broker = broker
        self._source = source
        self._producer = self._connect()
        self._reported: deque[_Delivery] = deque()
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="producer", daemon=True)
        self._poller.start()

    def _connect(self) -> Producer:
        config: dict[str, Any] = {
            **self._broker.confluent(),
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 1,
            "message.max.bytes": DEAD_LETTER_BYTES,
            "compression.type": "none" if self._broker.embedded else "lz4",
            "delivery.timeout.ms": int(DELIVERY_TIMEOUT_S * 1000),
            "topic.metadata.propagation.max.ms": 5000,
            "reconnect.backoff.max.ms": 1000,  # events wait for the broker's return
            "partitioner": "murmur2_random",
            "log_level": 3,
        }
        return Producer(config, logger=logging.getLogger("librdkafka"))

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(0.1)
            self._report()

    def _report(self) -> None:
        """Wake the callers whose records were all reported, with one call for each event loop."""
        finished: dict[asyncio.AbstractEventLoop, list[_Delivery]] = {}
        while self._reported:
            with contextlib.suppress(IndexError):  # another thread took it
                delivery = self._reported.popleft()
                finished.setdefault(delivery.loop, []).append(delivery)
        for loop, deliveries in finished.items():
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(_settle, deliveries)

    async def publish_all(self, events: Iterable[tuple[Event, str | None]]) -> None:
        """Publish events with their traceparents, in order. Return once all are acknowledged.

        Raises `BrokerUnavailable` or `EventTooLarge`; some events may be published then. Raises
        ValueError for an event that cannot be encoded; no event is published then.
        """
        await self.send(
            [encode(event, source=self._source, traceparent=trace) for event, trace in events]
        )

    async def send(self, records: Sequence[Encoded]) -> None:
        """Produce records unchanged. Return once all are acknowledged.

        Raises `BrokerUnavailable` or `EventTooLarge`; some records may be published then.
        """
        if not records:
            return
        delivery = _Delivery(asyncio.get_running_loop(), len(records), self._reported)
        for record in records:
            await self._enqueue(record, delivery)
        await delivery.acknowledged

    async def _enqueue(self, record: Encoded, delivery: _Delivery) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=list(record.headers),
                    on_delivery=delivery.report,
                )
            except BufferError:
                await asyncio.sleep(0.01)  # the local queue is full
            except KafkaException as error:
                self._replace_if_broken(error)
                raise _translated(error.args[0]) from error
            else:
                return

    def _replace_if_broken(self, error: KafkaException) -> None:
        fault = error.args[0]
        if isinstance(fault, KafkaError) and fault.fatal():
            broken, self._producer = self._producer, self._connect()
            # Callers that wait for its deliveries get an error.
            broken.purge()
            broken.poll(0)
            self._report()

    async def check(self) -> None:
        """Return if the broker answers; raise `BrokerUnavailable` with the reason."""
        try:
            await asyncio.to_thread(self._producer.list_topics, timeout=2.0)
        except KafkaException as error:
            raise BrokerUnavailable(error.args[0].str()) from error

    def close(self, timeout_s: float = 5.0) -> None:
        """Send the queued records, for at most ``timeout_s`` seconds, and stop."""
        self._producer.flush(timeout_s)
        self._report()
        self._closing.set()
        self._poller.join(timeout=1.0)


class _Delivery:
    """Counts the acknowledgements of the records of one `send`, on the poller's thread. Appends
    itself to ``reported`` after the last one."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, count: int, reported: deque[_Delivery]
    ) -> None:
        self.acknowledged: asyncio.Future[None] = loop.create_future()
        self.loop = loop
        self._left = count
        self._reported = reported
        self._fault: KafkaError | None = None

    def report(self, fault: KafkaError | None, _message: Message) -> None:
        self._fault = fault or self._fault
        self._left -= 1
        if self._left == 0:
            self._reported.append(self)

    def settle(self) -> None:
        if self.acknowledged.done():  # the caller was cancelled
            return
        if self._fault is None:
            self.acknowledged.set_result(None)
        else:
            self.acknowledged.set_exception(_translated(self._fault))


def _settle(deliveries: Iterable[_Delivery]) -> None:
    for delivery in deliveries:
        delivery.settle()


def _translated(fault: Any) -> StreamError:
    """Return the package's error. All errors except a record that is too large are temporary."""
    if not isinstance(fault, KafkaError):
        return BrokerUnavailable(str(fault))
    if fault.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return EventTooLarge(fault.str())
    return BrokerUnavailable(fault.str())
