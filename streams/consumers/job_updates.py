"""Follow `job-updated`, so that whoever waits or listens for a job hears of its change at once."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any
from uuid import uuid4

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from streams.broker.records import Record
from streams.consumers.feed import JobFeed
from streams.errors import UndecodableEvent
from streams.events.codec import Decoder
from streams.events.models import JobUpdated

log = structlog.get_logger(__name__)

POLL_S = 0.2
METADATA_TIMEOUT_S = 2.0
REFRESH_KNOWN_S = 30.0
REFRESH_UNKNOWN_S = 1.0
DRAIN = 500

# librdkafka's in-process broker holds every empty fetch for the whole of fetch.wait.max.ms, and
# its default of 500 ms would be added to each notification.
FETCH_WAIT_MS = 20


class JobSubscription:
    """One waiter's ear on one job. Hears every change since it was made."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()

    async def changed(self, timeout_s: float) -> bool:
        """Return True once the job has changed since the last call, False at the deadline."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True

    def notify(self) -> None:
        """Tell the waiter; on the event loop's thread only."""
        self._heard.set()


class JobUpdateConsumer:
    """Tells one event loop which jobs changed, and how, from a consumer on its own thread.

    ``config`` is what `confluent_kafka.Consumer` needs to reach the broker. Partitions are
    assigned, not subscribed: every gateway hears of every job, and nothing is ever committed.
    `watch` and `wait` only hint that a job changed; ``feed`` hands the new states to listeners.
    While the broker is away nothing is heard, so waiters read the job store again now and then.
    Memory is bounded by the number of waiters and listeners.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.feed = JobFeed()
        self._topic = JobUpdated.topic
        self._decoder = Decoder([JobUpdated])
        self._config = {
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "reconnect.backoff.max.ms": 1000,
            "log_level": 2,
            **config,
            "group.id": f"lookstream-follower-{uuid4()}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # The topic was made anew, or we are far behind: rather hear twice than not at all.
            "auto.offset.reset": "earliest",
            "error_cb": _log_error,
        }
        self._watches: defaultdict[str, set[JobSubscription]] = defaultdict(set)
        self._known: set[int] = set()
        self._seen_cluster = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start following; call it on the event loop that the waiters run on."""
        if self._thread is not None:
            return
        self._loop = asyncio.get_running_loop()
        self.feed.open()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._follow, name="job-follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following and wait for the thread, at most a few seconds."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    @contextmanager
    def subscribe(self, job_id: str) -> Iterator[JobSubscription]:
        """Listen for changes of one job; begin before reading the job, or miss one between."""
        watch = JobSubscription()
        self._watches[job_id].add(watch)
        try:
            yield watch
        finally:
            self._watches[job_id].discard(watch)
            if not self._watches[job_id]:
                del self._watches[job_id]

    @property
    def waiting(self) -> int:
        """How many jobs somebody listens for."""
        return len(self._watches)

    @property
    def following(self) -> bool:
        """Whether the broker was reached: every change from now on is heard."""
        return self._seen_cluster

    async def wait(self, job_id: str, timeout_s: float) -> bool:
        """Return True when the job changes within ``timeout_s`` seconds, else False."""
        with self.subscribe(job_id) as watch:
            return await watch.changed(timeout_s)

    def _follow(self) -> None:
        consumer = Consumer(self._config)
        self._known, self._seen_cluster = set(), False
        refresh_at = 0.0
        try:
            while not self._stopping.is_set():
                if monotonic() >= refresh_at:
                    self._discover(consumer)
                    refresh_at = monotonic() + (
                        REFRESH_KNOWN_S if self._known else REFRESH_UNKNOWN_S
                    )
                self._tell(self._heard(consumer))
        finally:
            consumer.close()

    def _discover(self, consumer: Consumer) -> None:
        """Assign partitions not known yet.

        Those that were there first are read from their end, as it is now: the listeners of before
        are told that they may have missed something. One that appears later is read from its
        beginning: everything in it was written while we were following.
        """
        try:
            new = sorted(self._partitions(consumer) - self._known)
            places = [self._place(consumer, number) for number in new]
        except KafkaException as error:
            log.debug("broker_unavailable", consumer="job_updates", error=str(error))
            return
        if places:
            consumer.incremental_assign(places)
            self._known.update(new)
        if not self._seen_cluster:
            self._seen_cluster = True
            self._on_loop(self.feed.mark_gap)

    def _partitions(self, consumer: Consumer) -> set[int]:
        """Return the topic's partitions, none while it does not exist."""
        topics = consumer.list_topics(self._topic, timeout=METADATA_TIMEOUT_S).topics
        found = topics.get(self._topic)
        if found is None or _is_unknown(found.error):
            return set()
        if found.error is not None:
            raise KafkaException(found.error)
        return set(found.partitions)

    def _place(self, consumer: Consumer, number: int) -> TopicPartition:
        """Return where to begin. The end is asked for: librdkafka's own "end" is wherever the
        first fetch finds it, and what was written until then would be missed."""
        place = TopicPartition(self._topic, number, OFFSET_BEGINNING)
        if not self._seen_cluster:
            place.offset = consumer.get_watermark_offsets(place, timeout=METADATA_TIMEOUT_S)[1]
        return place

    def _heard(self, consumer: Consumer) -> list[Message]:
        """Return the records that have come; wait a little for the first."""
        first = consumer.poll(POLL_S)
        if first is None:
            return []
        # consume() waits until it has them all, so only what is already here is asked of it.
        records = [first, *consumer.consume(DRAIN, timeout=0)]
        return [record for record in records if record.error() is None]

    def _tell(self, records: Sequence[Message]) -> None:
        """Hand over what somebody wants, and wait until it is taken: so nothing can pile up."""
        changed = {key for record in records if (key := _job_id(record.key())) in self._watches}
        wanted = [record for record in records if self.feed.wants(_job_id(record.key()))]
        updates = [update for record in wanted if (update := self._decoded(record))]
        if not changed and not updates:
            return
        taken = threading.Event()

        def take() -> None:
            self._wake(changed)
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

    def _wake(self, job_ids: set[str]) -> None:
        for job_id in job_ids:
            for watch in self._watches.get(job_id, ()):
                watch.notify()


def _job_id(key: bytes | str | None) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else key or ""


def _is_unknown(error: KafkaError | None) -> bool:
    return error is not None and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def _log_error(error: KafkaError) -> None:
    # Every refused connection is reported too, dozens a second: one line says it all.
    if error.code() == KafkaError._ALL_BROKERS_DOWN:
        log.debug("broker_unavailable", consumer="job_updates", error=error.str())
