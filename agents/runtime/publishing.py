"""Publishes what a stage produces: results, `stage-failed` events and, through
`agents.runtime.dead_letters`, dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from agents.runtime.dead_letters import DeadLetterPublisher
from agents.runtime.metrics import StageMetrics
from agents.runtime.processor import Publisher
from agents.runtime.retry import UnavailableRetry
from agents.runtime.work_item import WorkItem, mark_failed
from agents.stages.errors import BadAnswer, Rejected
from streams.broker.records import Record
from streams.errors import EventTooLarge, UndecodableEvent
from streams.events.models import Event, StageFailed

log = structlog.get_logger()

_CHARACTERS = 2_000
"""Limit of a failure's message and detail."""


class EventPublisher:
    """Publishes one stage's events.

    A call returns when the broker has the events, however long the broker is unavailable.
    """

    def __init__(
        self, stage: str, publisher: Publisher, retry: UnavailableRetry, metrics: StageMetrics
    ) -> None:
        self._stage = stage
        self._publisher = publisher
        self._retry = retry
        self._metrics = metrics
        self._dead_letters = DeadLetterPublisher(stage, publisher, retry, metrics)

    async def results(self, results: Sequence[tuple[WorkItem, Event]]) -> None:
        """Publish results. A result that cannot be published becomes a failure of its own item."""
        try:
            await self._publish([(event, item.traceparent) for item, event in results])
        except Exception as error:  # noqa: BLE001 - `_publish` retries an unavailable broker
            if len(results) == 1:
                await self.fail(results[0][0], error)
                return
            for result in results:
                await self.results([result])
            return
        for item, _ in results:
            log.debug("result_published", stage=self._stage, **item.log_fields)
            item.span.end()

    async def fail(self, item: WorkItem, error: Exception) -> None:
        """Publish `stage-failed`, and a dead letter unless the error is the input's fault."""
        code = failure_code(error)
        log.warning(
            "stage_failed", stage=self._stage, code=code, error=repr(error), **item.log_fields
        )
        if not isinstance(error, Rejected):
            await self._dead_letters.publish(item.record, error, attempts=item.attempts, code=code)
        self._metrics.failed.labels(self._stage, code).inc()
        failure = stage_failed(
            self._stage,
            item.event,
            error,
            attempts=max(item.attempts, 1),
            started_at=item.started_at,
            stages=item.wanted,
        )
        await self._publish([(failure, item.traceparent)])
        mark_failed(item.span, code)
        item.span.end()

    async def discard(self, record: Record, error: UndecodableEvent) -> None:
        """Publish a dead letter for an undecodable record, and `stage-failed` when the record
        names a job."""
        job_id = record.job_id()
        log.warning(
            "record_undecodable",
            stage=self._stage,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            job_id=job_id,
            reason=str(error),
        )
        await self._dead_letters.publish(record, error, code=error.code)
        if job_id:
            failure = StageFailed(
                job_id=job_id,
                stage=self._stage,
                kind="rejected",
                code=error.code,
                message=str(error),
                stages=(self._stage,),  # an unknown job would otherwise want no stage
            )
            await self._publish([(failure, None)])

    async def _publish(self, events: Sequence[tuple[Event, str | None]]) -> None:
        if events:
            await self._retry.until_available(lambda: self._publisher.publish_all(events))


def failure_code(error: Exception) -> str:
    """Return the stable code of an error."""
    if isinstance(error, Rejected | BadAnswer | EventTooLarge):
        return error.code
    return "stage-timeout" if isinstance(error, TimeoutError) else "stage-error"


def stage_failed(stage: str, event: Event, error: Exception, **facts: Any) -> StageFailed:
    """Return the event of a failure. ``facts``: attempts, started_at, stages."""
    rejected = isinstance(error, Rejected)
    return StageFailed(
        job_id=event.job_id,
        run=event.run,
        lane=event.lane,
        stage=stage,
        kind="rejected" if rejected else "error",
        code=failure_code(error),
        message=_public_message(error)[:_CHARACTERS],
        detail=error.detail[:_CHARACTERS] if isinstance(error, Rejected) else "",
        **facts,
    )


def _public_message(error: Exception) -> str:
    """Return a message for users. Unexpected errors appear by class name only: their text may
    contain paths or secrets."""
    if isinstance(error, Rejected | BadAnswer):
        return error.message
    if isinstance(error, TimeoutError):
        return "The stage exceeded its time limit."
    if isinstance(error, EventTooLarge):
        return "The stage's result is too large for the broker."
    return f"The stage failed unexpectedly ({type(error).__name__})."
