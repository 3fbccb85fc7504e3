"""Follow `job-updated`, so that waiters and listeners learn of a job's change at once."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from confluent_kafka import OFFSET_BEGINNING, Message

from streams.broker.connection import BrokerUrl
from streams.broker.records import Record
from streams.consumers.feed import JobFeed
from streams.consumers.topic_reader import POLL_S, TopicFollower, TopicReader
from streams.errors import UndecodableEvent
from streams.events.codec import Decoder
from streams.events.models import JobUpdated

log = structlog.get_logger(__name__)


class JobSubscription:
    """A subscription to one job. The subscription reports changes after its creation."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    async def changed(self, timeout_s: float) -> bool:
        """Return True once the job has changed since the last call, or False after ``timeout_s``
        seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    def notify(self) -> None:
        """Report a change. Call it on the event loop's thread."""
        self._changed.set()


class JobUpdateConsumer(TopicFollower):
    """Tells one event loop which jobs changed, and their new states.

    `subscribe` reports that a job changed; ``feed`` delivers the new states to listeners. While
    Kafka is unavailable, no change is reported, so waiters must also reread the job store from time
    to time. The memory in use depends only on the number of subscriptions and listeners.
    """

    topic = JobUpdated.topic
    name = "job-updates"

    def __init__(self, broker: BrokerUrl) -> None:
        super().__init__(broker)
        self.feed = JobFeed()
        self._decoder = Decoder([JobUpdated])
        self._subscriptions: defaultdict[str, set[JobSubscription]] = defaultdict(set)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start to follow. Call it on the event loop that the waiters use."""
        self._loop = asyncio.get_running_loop()
        self.feed.open()
        super().start()

    @contextmanager
    def subscribe(self, job_id: str) -> Iterator[JobSubscription]:
        """Subscribe to changes of one job. Subscribe before reading the job, so that no change in
        between is missed."""
        subscription = JobSubscription()
        self._subscriptions[job_id].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[job_id].discard(subscription)
            if not self._subscriptions[job_id]:
                del self._subscriptions[job_id]

    def _start_offsets(self, reader: TopicReader, partitions: Sequence[int]) -> dict[int, int]:
        """Start at the present end of the partitions that exist at the first discovery.

        A partition that appears later is read from its beginning, since all its records are new.
        """
        if reader.reached_broker:
            return dict.fromkeys(partitions, OFFSET_BEGINNING)
        return reader.end_offsets(partitions)

    def _discovered(self, reader: TopicReader, partitions: Sequence[int]) -> None:
        if not reader.reached_broker:  # existing listeners may have missed updates until now
            self._on_loop(self.feed.mark_gap)

    def _handle(self, messages: Sequence[Message]) -> None:
        """Pass the updates that a listener or waiter wants to the event loop. Wait until the event
        loop has taken them, so that no backlog grows in memory."""
        records = [message for message in messages if message.error() is None]
        changed = {
            key for record in records if (key := _job_id(record.key())) in self._subscriptions
        }
        wanted = [record for record in records if self.feed.wants(_job_id(record.key()))]
        updates = [update for record in wanted if (update := self._decoded(record))]
        if not changed and not updates:
            return
        taken = threading.Event()

        def take() -> None:
            self._notify(changed)
            self.feed.deliver(updates)
            taken.set()

        self._on_loop(take)
        while not taken.wait(POLL_S) and not self._stopping.is_set():
            pass

    def _decoded(self, record: Message) -> JobUpdated | None:
        try:
            event = self._decoder.decode(Record.received(record)).event
        except UndecodableEvent as error:
            log.warning("job_update_undecodable", error=str(error))
            return None
        return event if isinstance(event, JobUpdated) else None

    def _on_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _notify(self, job_ids: set[str]) -> None:
        for job_id in job_ids:
            for subscription in self._subscriptions.get(job_id, ()):
                subscription.notify()


def _job_id(key: bytes | str | None) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else key or ""
