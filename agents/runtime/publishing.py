"""Publishes what a stage produces: results, `stage-failed` events and, through
`agents.runtime.dead_letters`, dead letters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import structlog

from agents.runtime.dead_letters import DeadLetterPublisher
from agents.runtime.metrics import StageMetrics
from agents.runtime.processor import Publisher
from agents.runtime.retry import UnavailableRetry
from agents.runtime.work_item import WorkItem, mark_failed
from agents.stages.errors import BadAnswer, Rejected
from streams.broker.records import Record
from streams.errors import EventTooLarge, UndecodableEvent
from streams.events.limits import LARGEST_RUN, MESSAGE, NAME, VALUE_BYTES
from streams.events.models import Event, StageFailed

log = structlog.get_logger()


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
        """Publish results. If a result cannot be published, its item fails, and no other item."""
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
        """Publish `stage-failed`, and also a dead letter unless the error is `Rejected`."""
        code = failure_code(error)
        log.warning(
            "stage_failed", stage=self._stage, code=code, error=described(error), **item.log_fields
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
        log.warning(
            "record_undecodable",
            stage=self._stage,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            job_id=record.job_id(),
            reason=str(error),
        )
        await self._dead_letters.publish(record, error, code=error.code)
        await self._fail_job(record, kind="rejected", code=error.code, message=str(error))

    async def abandon(
        self, record: Record, error: Exception, *, code: str, attempts: int, fails_job: bool
    ) -> None:
        """Publish a dead letter for a record that could not be processed in any try. With
        ``fails_job``, also publish `stage-failed` if the record names a job."""
        log.error(
            "record_abandoned",
            stage=self._stage,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            job_id=record.job_id(),
            code=code,
            reason=described(error),
        )
        await self._dead_letters.publish(record, error, code=code, attempts=attempts)
        if fails_job:
            self._metrics.failed.labels(self._stage, code).inc()
            message = "The stage cannot process this event."
            await self._fail_job(record, kind="error", code=code, message=message)

    async def _fail_job(
        self, record: Record, *, kind: Literal["rejected", "error"], code: str, message: str
    ) -> None:
        if job_id := record.job_id():
            failure = StageFailed(
                job_id=job_id,
                run=run_in(record),
                stage=self._stage,
                kind=kind,
                code=code,
                message=message[:MESSAGE],
                stages=(self._stage,),  # if the job is unknown, it gets these wanted stages
            )
            await self._publish([(failure, None)])

    async def _publish(self, events: Sequence[tuple[Event, str | None]]) -> None:
        if events:
            await self._retry.until_available(lambda: self._publisher.publish_all(events))


def failure_code(error: Exception) -> str:
    """Return the stable code of an error."""
    if isinstance(error, Rejected | BadAnswer | EventTooLarge):
        return text_of(error.code, NAME) or "stage-error"
    return "stage-timeout" if isinstance(error, TimeoutError) else "stage-error"


def stage_failed(stage: str, event: Event, error: Exception, **facts: Any) -> StageFailed:
    """Return the `stage-failed` event. ``facts`` are the fields attempts, started_at and stages.

    A custom stage may raise `Rejected` with any values: they are converted to text and shortened.
    """
    rejected = isinstance(error, Rejected)
    return StageFailed(
        job_id=event.job_id,
        run=event.run,
        lane=event.lane,
        stage=stage,
        kind="rejected" if rejected else "error",
        code=failure_code(error),
        message=text_of(_public_message(error), MESSAGE),
        detail=text_of(error.detail, MESSAGE) if isinstance(error, Rejected) else "",
        **facts,
    )


def _public_message(error: Exception) -> object:
    """Return a message for users. Unexpected errors appear by class name only: their text may
    contain paths or secrets."""
    if isinstance(error, Rejected | BadAnswer):
        return error.message
    if isinstance(error, TimeoutError):
        return "The stage exceeded its time limit."
    if isinstance(error, EventTooLarge):
        return "The stage's result is too large for the broker."
    return f"The stage failed unexpectedly ({type(error).__name__})."


def text_of(value: object, characters: int) -> str:
    """Return ``value`` as text of at most ``characters`` that every store and broker accepts. None
    becomes an empty text."""
    try:
        text = "" if value is None else str(value)
    except Exception as error:  # noqa: BLE001 - the value's own code
        text = f"({type(value).__name__} without text: {type(error).__name__})"
    return text.encode(errors="backslashreplace").decode().replace("\0", "")[:characters]


def described(error: BaseException) -> str:
    """Return the representation of an error for logs, at most 500 characters."""
    try:
        return repr(error)[:500]
    except Exception:  # noqa: BLE001 - the error's own code
        return type(error).__name__


def run_in(record: Record) -> int:
    """Return the run that the record's data names; 1 if the data cannot be read."""
    try:
        run = json.loads((record.value or b"")[:VALUE_BYTES])["run"]
        return run if isinstance(run, int) and 1 <= run <= LARGEST_RUN else 1
    except (ValueError, TypeError, LookupError, RecursionError):
        return 1
