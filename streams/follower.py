"""Follow `job-updated`, so that whoever waits for a job hears of its change at once."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any
from uuid import uuid4

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

log = structlog.get_logger(__name__)

POLL_S = 0.2
METADATA_TIMEOUT_S = 2.0
REFRESH_KNOWN_S = 30.0
REFRESH_UNKNOWN_S = 1.0
DRAIN = 500

# librdkafka's in-process broker holds every empty fetch for the whole of fetch.wait.max.ms, and
# its default of 500 ms would be added to each notification.
FETCH_WAIT_MS = 20


class Watch:
    """One waiter's ear on one job. Hears every change since it was made."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()

    async def changed(self, timeout_s: float) -> bool:
        """Return True once the job has changed since the last call, False at the deadline."""
        try:
            await asyncio.wait_for(self._heard.wait(), timeout_s)
        except TimeoutError:
            return False
        self._heard.clear()
        return True

    def hear(self) -> None:
        """Tell the waiter; on the event loop's thread only."""
        self._heard.set()


class JobFollower:
    """Tells waiters on one event loop which jobs changed, from a consumer on its own thread.

    ``config`` is what `confluent_kafka.Consumer` needs to reach the broker. Partitions are
    assigned, not subscribed: every gateway hears of every job, and nothing is ever committed.
    A hint only: a change may be missed while the broker is away, so waiters read the job store
    again now and then. Memory is bounded by the number of waiters.
    """

    def __init__(self, config: Mapping[str, Any], topic: str = "job-updated") -> None:
        self._topic = topic
        self._config = {
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "reconnect.backoff.max.ms": 1000,
            "log_level": 2,
            **config,
            "group.id": f"lookstream-follower-{uuid4()}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "latest",
            "error_cb": _log_error,
        }
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
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
    def watch(self, job_id: str) -> Iterator[Watch]:
        """Listen for changes of one job; begin before reading the job, or miss one between."""
        watch = Watch()
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

    async def wait(self, job_id: str, timeout_s: float) -> bool:
        """Return True when the job changes within ``timeout_s`` seconds, else False."""
        with self.watch(job_id) as watch:
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
                self._tell(self._changed_jobs(consumer))
        finally:
            consumer.close()

    def _discover(self, consumer: Consumer) -> None:
        """Assign partitions not known yet.

        Those that were there first are read from their end. One that appears later is read
        from its beginning: everything in it was written while we were following.
        """
        try:
            topics = consumer.list_topics(self._topic, timeout=METADATA_TIMEOUT_S).topics
        except KafkaException as error:
            log.debug("broker out of reach", action="follow-jobs", error=str(error))
            return
        found = topics.get(self._topic)
        start = OFFSET_BEGINNING if self._seen_cluster else OFFSET_END
        self._seen_cluster = True
        if found is None or found.error is not None:
            return
        new = sorted(set(found.partitions) - self._known)
        if new:
            consumer.incremental_assign([TopicPartition(self._topic, p, start) for p in new])
            self._known.update(new)

    def _changed_jobs(self, consumer: Consumer) -> set[str]:
        """Return the watched jobs among the records that have come; wait a little for the first."""
        first = consumer.poll(POLL_S)
        if first is None:
            return set()
        # consume() waits until it has them all, so only what is already here is asked of it.
        records = [first, *consumer.consume(DRAIN, timeout=0)]
        keys = {_job_id(record.key()) for record in records if record.error() is None}
        return {key for key in keys if key in self._watches}

    def _tell(self, job_ids: set[str]) -> None:
        if job_ids and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, job_ids)

    def _wake(self, job_ids: set[str]) -> None:
        for job_id in job_ids:
            for watch in self._watches.get(job_id, ()):
                watch.hear()


def _job_id(key: bytes | str | None) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else key or ""


def _log_error(error: KafkaError) -> None:
    # Every refused connection is reported too, dozens a second: one line says it all.
    if error.code() == KafkaError._ALL_BROKERS_DOWN:
        log.debug("broker out of reach", action="follow-jobs", error=error.str())
