"""What leaves a stage: results, failures and dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from agents.runtime import task as spans
from agents.runtime.metrics import StageMetrics
from agents.runtime.processor import Holder, Publisher
from agents.runtime.task import Task
from agents.stages.errors import BadAnswer, Rejected
from streams.broker.producer import dead_letter
from streams.broker.records import Record
from streams.errors import EventTooLarge, UndecodableEvent
from streams.events.models import Event, StageFailed

# What a stage's failure looks like to the job, to people and to the dead letters.
_CHARACTERS = 2_000


def code_of(error: Exception) -> str:
    """Return the stable code of what went wrong."""
    if isinstance(error, Rejected | BadAnswer | EventTooLarge):
        return error.code
    return "stage-timeout" if isinstance(error, TimeoutError) else "stage-error"


def failed(stage: str, event: Event, error: Exception, **facts: Any) -> StageFailed:
    """Return the event that tells of it. ``facts``: attempts, started_at, stages."""
    rejected = isinstance(error, Rejected)
    return StageFailed(
        job_id=event.job_id,
        run=event.run,
        lane=event.lane,
        stage=stage,
        kind="rejected" if rejected else "error",
        code=code_of(error),
        message=_public(error)[:_CHARACTERS],
        detail=error.detail[:_CHARACTERS] if isinstance(error, Rejected) else "",
        **facts,
    )


def _public(error: Exception) -> str:
    """Name a fault of ours without its text, which may hold paths or secrets."""
    if isinstance(error, Rejected | BadAnswer):
        return error.message
    if isinstance(error, TimeoutError):
        return "The stage took too long and was given up."
    if isinstance(error, EventTooLarge):
        return "The stage's result is too large for the broker."
    return f"The stage failed unexpectedly ({type(error).__name__})."


log = structlog.get_logger()


class Outbox:
    """Publishes for one stage; a call returns when the broker has it, however long it is away."""

    def __init__(
        self, stage: str, publisher: Publisher, hold: Holder, metrics: StageMetrics
    ) -> None:
        self._stage = stage
        self._publisher = publisher
        self._hold = hold
        self._metrics = metrics

    async def results(self, results: Sequence[tuple[Task, Event]]) -> None:
        """Publish results; one that cannot be published at all fails alone."""
        try:
            await self._publish([(event, task.traceparent) for task, event in results])
        except Exception as error:  # noqa: BLE001 - what is only out of reach was waited for
            if len(results) == 1:
                await self.fail(results[0][0], error)
                return
            for result in results:
                await self.results([result])
            return
        for task, _ in results:
            log.debug("done", action="publish", stage=self._stage, **task.names)
            task.span.end()

    async def fail(self, task: Task, error: Exception) -> None:
        """Publish the failure; ours go to the dead letters as well."""
        code = code_of(error)
        log.warning(
            "failed",
            action="fail",
            stage=self._stage,
            code=code,
            error=repr(error),
            **task.names,
        )
        if not isinstance(error, Rejected):
            letter = dead_letter(
                task.record, error, stage=self._stage, attempts=task.attempts, code=code
            )
            await self._hold.bury(self._publisher, letter)
            self._metrics.dead_letters.labels(self._stage).inc()
        self._metrics.failed.labels(self._stage, code).inc()
        failure = failed(
            self._stage,
            task.event,
            error,
            attempts=max(task.attempts, 1),
            started_at=task.started_at,
            stages=task.wanted,
        )
        await self._publish([(failure, task.traceparent)])
        spans.failed(task.span, code)
        task.span.end()

    async def discard(self, record: Record, error: UndecodableEvent) -> None:
        """Dead-letter what is no event; where it names a job, let the job say so too."""
        log.warning(
            "undecodable",
            action="dead-letter",
            stage=self._stage,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            job_id=record.job_id(),
            reason=str(error),
        )
        letter = dead_letter(record, error, stage=self._stage, attempts=1, code=error.code)
        await self._hold.bury(self._publisher, letter)
        self._metrics.dead_letters.labels(self._stage).inc()
        if job_id := record.job_id():
            failure = StageFailed(
                job_id=job_id,
                stage=self._stage,
                kind="rejected",
                code=error.code,
                message=str(error),
                stages=(self._stage,),  # else a job that nobody has heard of would want nothing
            )
            await self._publish([(failure, None)])

    async def _publish(self, events: Sequence[tuple[Event, str | None]]) -> None:
        if events:
            await self._hold.until_back(lambda: self._publisher.publish_all(events))
