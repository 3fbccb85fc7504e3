"""Follow `job-deleted`, so that nothing more is computed for a job that was taken back."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import uuid4

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException

from streams.broker.connection import BrokerUrl
from streams.broker.records import Record
from streams.broker.topics import JOB_DELETED
from streams.consumers.history import starts
from streams.errors import BrokerUnavailable

log = structlog.get_logger(__name__)

BACK = timedelta(days=1)
KEEP = 100_000
POLL_S = 0.2
METADATA_TIMEOUT_S = 2.0
REFRESH_KNOWN_S = 30.0
REFRESH_UNKNOWN_S = 1.0
# librdkafka's in-process broker holds every empty fetch for the whole of it, and would be asked
# all the time by a shorter one.
FETCH_WAIT_MS = 200


class DeletedJobs:
    """The jobs that were deleted in the last day and since, the latest ``keep`` of them.

    A consumer on a thread of its own: every process hears of every deletion, and nothing is ever
    committed. A hint that saves work: what a deleted job's late events bring is erased by tracking.
    """

    def __init__(self, broker: BrokerUrl, *, back: timedelta = BACK, keep: int = KEEP) -> None:
        self._broker = broker
        self._back = back
        self._keep = keep
        self._jobs: OrderedDict[str, None] = OrderedDict()
        self._known: set[int] = set()
        self._behind: set[int] = set()
        self._caught_up = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def start(self) -> None:
        """Begin to follow."""
        self._thread = threading.Thread(target=self._follow, name="deletions", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following and wait for the thread, at most a few seconds."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def caught_up(self, timeout_s: float) -> bool:
        """Wait until all that was deleted before `start` is known; False at the deadline."""
        return self._caught_up.wait(timeout_s)

    def _follow(self) -> None:
        consumer = Consumer(self._config())
        since = datetime.now(UTC) - self._back
        refresh_at = 0.0
        try:
            while not self._stopping.is_set():
                if monotonic() >= refresh_at:
                    self._discover(consumer, since)
                    pause = REFRESH_KNOWN_S if self._known else REFRESH_UNKNOWN_S
                    refresh_at = monotonic() + pause
                self._read(consumer)
        finally:
            consumer.close()

    def _config(self) -> dict[str, object]:
        return {
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "reconnect.backoff.max.ms": 1000,
            "log_level": 2,
            **self._broker.confluent(),
            "group.id": f"lookstream-deletions-{uuid4()}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "error_cb": _say_nothing,
        }

    def _discover(self, consumer: Consumer, since: datetime) -> None:
        """Assign the partitions that are not known yet."""
        try:
            topics = consumer.list_topics(JOB_DELETED, timeout=METADATA_TIMEOUT_S).topics
            found = topics.get(JOB_DELETED)
            partitions = set() if found is None or found.error else set(found.partitions)
            new = partitions - self._known
            if new:
                places = starts(consumer, self._broker, JOB_DELETED, sorted(new), since)
                consumer.incremental_assign(places)
        except (KafkaException, BrokerUnavailable) as error:
            log.debug("broker_unavailable", consumer="deletions", error=str(error))
            return
        self._known |= new
        self._behind |= new
        if not self._known:  # nothing was ever deleted
            self._caught_up.set()

    def _read(self, consumer: Consumer) -> None:
        message = consumer.poll(POLL_S)
        if message is None:
            return
        fault = message.error()
        if fault is None:
            self._note(Record.received(message).job_id())
        elif fault.code() == KafkaError._PARTITION_EOF:
            self._behind.discard(message.partition())
            if not self._behind:
                self._caught_up.set()

    def _note(self, job_id: str | None) -> None:
        if job_id is None:
            return
        self._jobs[job_id] = None
        if len(self._jobs) > self._keep:
            self._jobs.popitem(last=False)


def _say_nothing(_: KafkaError) -> None:
    """Every refused connection is reported, dozens a second; the producer tells of it as well."""
