"""The last barrier around a processor: no record ends the worker or stops its partition.

An exception that escapes `Processor.process` splits the batch into single records. A record that
fails alone is tried again, then it becomes a dead letter. A record that ended its worker several
times (`agents.workers.crash_counts`) becomes a dead letter without another try.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from agents.runtime.metrics import StageMetrics
from agents.runtime.processor import Processor, Publisher
from agents.runtime.publishing import EventPublisher
from agents.runtime.retry import RetryPolicy, UnavailableRetry, is_unavailable
from streams.broker.records import Record

log = structlog.get_logger()

ESCAPED = "record-error"
ENDED_WORKER = "record-ends-worker"


class EndsWorker(Exception):
    """A record ended its worker several times."""


class Barrier:
    """Passes records to ``processor``; ``publisher`` publishes what cannot be processed.

    With ``stage``, the record's job gets a `stage-failed` event of that stage too.
    """

    def __init__(
        self,
        processor: Processor,
        publisher: Publisher,
        metrics: StageMetrics,
        *,
        stage: str | None,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._processor = processor
        self._fails_job = stage is not None
        self._policy = policy or RetryPolicy()
        self._retry = UnavailableRetry(processor.name, self._policy)
        self._failures = EventPublisher(stage or processor.name, publisher, self._retry, metrics)

    @property
    def waiting_for(self) -> str | None:
        """Return the unavailable dependency that the barrier waits for, if any."""
        return self._retry.waiting_for

    async def process(self, records: Sequence[Record]) -> None:
        """Process the records. Raises no `Exception`."""
        try:
            await self._processor.process(records)
        except Exception as error:
            log.exception("batch_failed", stage=self._processor.name, size=len(records))
            if len(records) == 1:
                await self._again(records[0], error)
                return
            for record in records:
                await self.process([record])

    async def _again(self, record: Record, error: Exception) -> None:
        """Try a record again, which failed alone with ``error``. If a try fails because a
        dependency is unavailable, this try does not count."""
        attempts, waits = 1, 0
        while attempts < self._policy.attempts or is_unavailable(error):
            if is_unavailable(error):
                waits += 1
                await self._retry.wait(error, waits)
            else:
                attempts += 1
                await asyncio.sleep(self._policy.delay(attempts))
            try:
                await self._processor.process([record])
            except Exception as another:  # noqa: BLE001 - the policy limits the tries
                error = another
            else:
                self._retry.clear()
                return
        self._retry.clear()
        await self._give_up(record, error, code=ESCAPED, attempts=attempts)

    async def refuse(self, record: Record, times: int) -> None:
        """Write a dead letter for a record that ended its worker ``times`` times."""
        error = EndsWorker(f"the worker ended {times} times during the work on this record")
        await self._give_up(record, error, code=ENDED_WORKER, attempts=times)

    async def _give_up(self, record: Record, error: Exception, *, code: str, attempts: int) -> None:
        try:
            await self._failures.abandon(
                record, error, code=code, attempts=attempts, fails_job=self._fails_job
            )
        except Exception:
            log.exception(
                "record_dropped",
                stage=self._processor.name,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
            )
