"""The runtime: each processor as a Faust app of its own. The only module that knows Faust.

What Faust gets wrong and this module answers, each pinned by a test in
``tests/integration/test_faust_traps.py``: an exception that escapes an agent commits past its
event; so does an acknowledgement out of order; an unacknowledged event stops a clean shutdown for
ever; a rebalance leaves events of the time before in the buffers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import faust
import structlog
from faust.app.base import BootStrategy
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from yarl import URL

from agents.processor import Processor
from agents.watchdog import Vitals
from streams.broker_url import BrokerUrl
from streams.record import Record

log = structlog.get_logger()

GATHER_S = 0.003


@dataclass(frozen=True)
class Tuning:
    """What the embedded broker and Apache Kafka want differently. Times are seconds.

    The embedded broker holds every empty fetch for the whole ``fetch_wait``, also when a record
    comes; Kafka answers at once.
    """

    fetch_wait_s: float
    session_s: float
    heartbeat_s: float

    @classmethod
    def of(cls, broker: BrokerUrl) -> Tuning:
        return cls(0.02, 6.0, 1.0) if broker.embedded else cls(0.5, 10.0, 3.0)


class _NoWeb(BootStrategy):  # type: ignore[misc]
    """Faust would serve HTTP on 0.0.0.0:6066 from every worker."""

    enable_web = False


class _App(faust.App):  # type: ignore[misc]
    BootStrategy = _NoWeb


def _transport(url: str, app: faust.App, fetch_wait_s: float) -> Transport:
    """Faust's transport, with the fetch wait that its driver fixes at 1500 ms."""

    class Thread(AIOKafkaConsumerThread):  # type: ignore[misc]
        def _create_worker_consumer(self, transport: Any) -> Any:
            consumer = super()._create_worker_consumer(transport)
            consumer._fetch_max_wait_ms = int(fetch_wait_s * 1000)
            return consumer

    class TunedConsumer(Consumer):  # type: ignore[misc]
        def _new_consumer_thread(self) -> Any:
            return Thread(self, loop=self.loop, beacon=self.beacon)

    class TunedTransport(Transport):  # type: ignore[misc]
        pass

    TunedTransport.Consumer = TunedConsumer
    return TunedTransport([URL(part) for part in url.split(";")], app, loop=app.loop)


def _credentials(broker: BrokerUrl) -> faust.SASLCredentials | faust.SSLCredentials | None:
    context = ssl.create_default_context(cafile=broker.ca) if broker.tls else None
    if broker.sasl:
        return faust.SASLCredentials(
            username=broker.username,
            password=broker.password,
            mechanism=broker.sasl,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def make_app(processor: Processor, broker: BrokerUrl, prefix: str = "lookstream") -> faust.App:
    """Return a Faust app that reads the processor's topics as group ``<prefix>.<name>``."""
    tuning = Tuning.of(broker)
    url = ";".join(f"kafka://{host}" for host in broker.bootstrap.split(","))
    app = _App(
        f"{prefix}.{processor.name}",
        broker=url,
        broker_credentials=_credentials(broker),
        broker_session_timeout=tuning.session_s,
        broker_heartbeat_interval=tuning.heartbeat_s,
        broker_commit_interval=1.0,
        broker_max_poll_records=max(processor.batch * 4, 32),
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=10_000,
        stream_buffer_maxsize=processor.batch * 2,
        stream_wait_empty=False,
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        autodiscover=False,
    )
    app.transport = _transport(url, app, tuning.fetch_wait_s)
    return app


class Reader:
    """Takes batches for one processor and acknowledges each, whole and in order, when it is done.

    Events pass from Faust's agent through a bounded inbox, so that acknowledging is ours alone:
    nothing that Faust cancels, restarts or drops is ever acknowledged by it.
    """

    def __init__(
        self, processor: Processor, broker: BrokerUrl, *, prefix: str = "lookstream"
    ) -> None:
        self.processor = processor
        self.app = make_app(processor, broker, prefix)
        self._inbox: asyncio.Queue[tuple[int, Any] | None] = asyncio.Queue(processor.batch)
        self._epoch = 0
        self._draining = False
        self._done: dict[Any, int] = {}
        self._in_hand = 0
        self._progress_seen = self._assigned_seen = time.monotonic()
        self._work: asyncio.Task[None] | None = None
        topic = self.app.topic(*processor.topics, key_serializer="raw", value_serializer="raw")
        self.app.agent(topic, name=f"{processor.name}.reader", concurrency=1)(self._read)
        self.app.on_partitions_revoked.connect(self._forget)

    # -- from Faust ------------------------------------------------------------------------

    async def _read(self, stream: Any) -> None:
        async for event in stream.noack().events():
            await self._inbox.put((self._epoch, event))

    async def _forget(self, *_: Any, **__: Any) -> None:
        """After a rebalance everything in the buffers comes again: drop it, never ack it."""
        self._epoch += 1
        self._done.clear()
        while not self._inbox.empty():
            self._inbox.get_nowait()

    # -- the loop --------------------------------------------------------------------------

    async def _run(self) -> None:
        while batch := await self._gather():
            epoch, events = batch[0][0], [event for _, event in batch]
            self._in_hand = len(events)
            await self.processor.process([record_of(event.message) for event in events])
            self._in_hand = 0
            if epoch == self._epoch:
                self._acknowledge(events)
            self._progress_seen = time.monotonic()
            if self._draining:
                return

    async def _gather(self) -> list[tuple[int, Any]]:
        """Return what has come, or comes within a few ms; empty when draining."""
        batch: list[tuple[int, Any]] = []
        waited = False
        while len(batch) < self.processor.batch:
            if self._inbox.empty() and batch:
                if waited:
                    break
                await asyncio.sleep(GATHER_S)
                waited = True
                continue
            item = await self._inbox.get()
            if item is None or self._draining:
                return []
            if item[0] == self._epoch:
                batch.append(item)
        return [item for item in batch if item[0] == self._epoch] or await self._gather()

    def _acknowledge(self, events: Sequence[Any]) -> None:
        for event in events:
            event.ack()
            self._done[event.message.tp] = event.message.offset + 1

    # -- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join the group and begin; returns when the first partitions are assigned."""
        self._work = asyncio.create_task(self._run(), name=f"{self.processor.name}.work")
        await self.app.start()
        self._progress_seen = self._assigned_seen = time.monotonic()

    async def wait(self) -> None:
        """Return when the reader is drained; raise when it or its Faust app has crashed."""
        assert self._work is not None  # noqa: S101 - started before
        stopped = asyncio.create_task(self.app.wait_until_stopped())
        await asyncio.wait({self._work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if self._work.done():
            self._work.result()
        elif not self._draining:
            raise RuntimeError(f"{self.processor.name}: Faust stopped by itself")

    async def drain(self) -> None:
        """Finish the batch in hand, commit, leave the group. Cancel it to give up waiting."""
        self._draining = True
        if self._inbox.empty():
            self._inbox.put_nowait(None)
        if self._work is not None:
            await asyncio.wait({self._work})
        with contextlib.suppress(Exception):
            await self.app.consumer.commit()
        await self.app.stop()

    # -- watched ---------------------------------------------------------------------------

    @property
    def assigned(self) -> int:
        """Return how many partitions this reader has now."""
        with contextlib.suppress(Exception):
            return len(self.app.consumer.assignment())
        return 0

    async def vitals(self) -> Vitals:
        """Ask the broker how far behind this reader is. Raises what the broker's client raises."""
        partitions = self.app.consumer.assignment() if self.assigned else set()
        now = time.monotonic()
        lag = await self._lag(partitions) if partitions else 0
        if partitions:
            self._assigned_seen = now
        if not lag:
            self._progress_seen = now
        return Vitals(
            now=now,
            assigned=len(partitions),
            assigned_seen=self._assigned_seen,
            lag=lag,
            progress_seen=self._progress_seen,
            holding=self.processor.holding is not None,
        )

    async def _lag(self, partitions: set[Any]) -> int:
        ends: Mapping[Any, int] = await asyncio.wait_for(
            self.app.consumer.highwaters(*partitions), 10.0
        )
        lag = self._in_hand + self._inbox.qsize()
        for partition, end in ends.items():
            reached = self._done.get(partition)
            if reached is None:
                reached = await self.app.consumer.position(partition) or 0
            lag += max(0, (end or 0) - reached)
        return lag


def record_of(message: Any) -> Record:
    """Take a Faust message's bytes as they came."""
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=tuple((str(name), bytes(value or b"")) for name, value in pairs),
    )
