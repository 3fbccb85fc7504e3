"""Builds the Faust app of a processor, and overrides Faust where it is wrong.

The overrides fix these defects: an exception that escapes an agent commits past its event; an
acknowledgement out of order does too; an unacknowledged event blocks a clean stop; events from
before a rebalance stay in the buffers. ``tests/integration/test_faust_traps.py`` tests each.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import faust
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.app.base import BootStrategy
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP
from yarl import URL

from agents.runtime.processor import Processor
from agents.workers.lenient_records import install
from streams.broker.connection import BrokerUrl

NEVER_S = 7 * 86_400.0

Offsets = MutableMapping[Any, int]
"""The offset to commit, by partition: one more than the last finished record."""


@dataclass(frozen=True)
class ConsumerTuning:
    """Consumer settings in seconds; they differ between the embedded broker and Apache Kafka.

    The embedded broker answers an empty fetch only after the whole fetch wait, even when a record
    arrives meanwhile. Kafka answers at once.
    """

    fetch_wait_s: float
    session_s: float
    heartbeat_s: float

    @classmethod
    def of(cls, broker: BrokerUrl) -> ConsumerTuning:
        return cls(0.02, 6.0, 1.0) if broker.embedded else cls(0.5, 10.0, 3.0)


class _NoWeb(BootStrategy):  # type: ignore[misc]
    """Without this class Faust serves HTTP on 0.0.0.0:6066 from every worker."""

    enable_web = False


class _App(faust.App):  # type: ignore[misc]
    BootStrategy = _NoWeb

    def _create_directories(self) -> None:
        """Create no ``<group>-data`` directory: it is for Faust tables, which we do not use."""


Notes = dict[TP, tuple[int, str]]
"""A text for the commit of an offset, by partition. The commit of another offset has no text."""


def _transport(
    url: str, app: faust.App, fetch_wait_s: float, finished: Offsets, notes: Notes
) -> Transport:
    """Return a transport that commits only the offsets in ``finished``.

    Faust's own offsets are wrong: Faust acknowledges events that it skips around a rebalance or a
    stop, and commits an offset although an earlier event is not acknowledged. The transport also
    sets the fetch wait, which Faust's driver fixes at 1500 ms.
    """

    class Thread(AIOKafkaConsumerThread):  # type: ignore[misc]
        def _create_worker_consumer(self, transport: Any) -> Any:
            consumer = super()._create_worker_consumer(transport)
            consumer._fetch_max_wait_ms = int(fetch_wait_s * 1000)
            consumer.commit = partial(_commit_with_notes, consumer.commit, notes)
            return consumer

    class OwnConsumer(Consumer):  # type: ignore[misc]
        def _new_consumer_thread(self) -> Any:
            return Thread(self, loop=self.loop, beacon=self.beacon)

        def ack(self, message: Any) -> bool:
            message.acked = True
            self._unacked_messages.discard(message)
            return False

        def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[Any]:
            return iter(list(finished))

        def _new_offset(self, tp: Any) -> int | None:
            return finished.get(tp)

        async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
            """Record no gap: only Faust's own acknowledgements use gaps, and gaps need memory."""

    class OwnTransport(Transport):  # type: ignore[misc]
        pass

    OwnTransport.Consumer = OwnConsumer
    return OwnTransport([URL(part) for part in url.split(";")], app, loop=app.loop)


async def _commit_with_notes(
    commit: Callable[[Any], Awaitable[None]], notes: Notes, offsets: Mapping[Any, Any]
) -> None:
    """Commit ``offsets`` with the notes that belong to them."""
    texts = {
        partition: text
        for partition, (offset, text) in list(notes.items())
        if (own := offsets.get(partition)) is not None and own.offset == offset
    }
    await commit(
        {
            partition: OffsetAndMetadata(each.offset, texts.get(partition, ""))
            for partition, each in offsets.items()
        }
    )


class FaustNotes:
    """The notes at the committed offsets of an app: an `agents.workers.crash_counts.OffsetNotes`.

    The methods raise the Kafka client's errors.
    """

    def __init__(self, app: faust.App, notes: Notes) -> None:
        self._app = app
        self._notes = notes

    async def read(self, partitions: Iterable[TP]) -> dict[TP, tuple[int, str]]:
        """Return offset and text of each partition with a committed offset."""
        thread = self._app.consumer._thread
        fetch = thread._consumer._coordinator.fetch_committed_offsets
        found = await thread.call_thread(fetch, [TopicPartition(*each) for each in partitions])
        return {TP(*each): (at.offset, at.metadata or "") for each, at in found.items()}

    async def write(self, notes: Mapping[TP, tuple[int, str]]) -> None:
        """Commit the offsets with their texts."""
        self.keep(notes)
        thread = self._app.consumer._thread
        offsets = {
            TopicPartition(*each): OffsetAndMetadata(offset, "")
            for each, (offset, _) in notes.items()
        }
        await thread.call_thread(thread._consumer.commit, offsets)

    def keep(self, notes: Mapping[TP, tuple[int, str]]) -> None:
        """Remember ``notes`` (offset and text by partition), without a commit. The next commit of a
        partition carries the text if it commits exactly this offset."""
        self._notes.update(notes)


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


def make_app(
    processor: Processor,
    broker: BrokerUrl,
    finished: Offsets,
    prefix: str = "lookstream",
    notes: Notes | None = None,
) -> faust.App:
    """Return a Faust app that reads the processor's topics as group ``<prefix>.<name>``.

    The app commits the offsets in ``finished`` every second and on stop, with their ``notes``.
    """
    install()
    notes = {} if notes is None else notes
    tuning = ConsumerTuning.of(broker)
    url = ";".join(f"kafka://{host}" for host in broker.bootstrap.split(","))
    app = _App(
        f"{prefix}.{processor.name}",
        broker=url,
        broker_credentials=_credentials(broker),
        broker_session_timeout=tuning.session_s,
        broker_heartbeat_interval=tuning.heartbeat_s,
        broker_commit_interval=1.0,
        # Otherwise a long wait for a dependency makes Faust leave the group and never rejoin.
        broker_max_poll_interval=NEVER_S,
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
    app.transport = _transport(url, app, tuning.fetch_wait_s, finished, notes)
    return app
