"""Follow `job-deleted`, so that workers skip the events of deleted jobs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from confluent_kafka import Message

from streams.broker.connection import BrokerUrl
from streams.broker.records import Record
from streams.broker.topics import JOB_DELETED
from streams.consumers.topic_reader import TopicFollower, TopicReader, at_end

LOOK_BACK = timedelta(days=1)
MAX_JOBS = 100_000


class DeletedJobs(TopicFollower):
    """The ids of deleted jobs: the newest ``keep`` of those deleted after the start minus ``back``.

    The ids are only a hint that saves work: if a stage still processes a deleted job, tracking
    erases the results.
    """

    topic = JOB_DELETED
    name = "deletions"
    # A delay of 200 ms does no harm here, and a shorter wait would send many empty fetches.
    fetch_wait_ms = 200

    def __init__(
        self, broker: BrokerUrl, *, back: timedelta = LOOK_BACK, keep: int = MAX_JOBS
    ) -> None:
        super().__init__(broker)
        self._back = back
        self._keep = keep
        self._jobs: OrderedDict[str, None] = OrderedDict()
        self._behind: set[int] = set()
        self._caught_up = threading.Event()

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def caught_up(self, timeout_s: float) -> bool:
        """Wait until the deletions before `start` are read; return True then, or False after
        ``timeout_s`` seconds."""
        return self._caught_up.wait(timeout_s)

    def _start_offsets(self, reader: TopicReader, partitions: Sequence[int]) -> dict[int, int]:
        return reader.offsets_since(partitions, datetime.now(UTC) - self._back)

    def _discovered(self, reader: TopicReader, partitions: Sequence[int]) -> None:
        self._behind.update(partitions)
        if not reader.partitions:  # the topic does not exist: no job was ever deleted
            self._caught_up.set()

    def _handle(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.error() is None:
                self._remember(Record.received(message).job_id())
            elif at_end(message):
                self._behind.discard(message.partition())
                if not self._behind:
                    self._caught_up.set()

    def _remember(self, job_id: str | None) -> None:
        if job_id is None:
            return
        self._jobs[job_id] = None
        if len(self._jobs) > self._keep:
            self._jobs.popitem(last=False)
