"""What leaves a stage: results, failures and dead letters."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from agents import spans
from agents.errors import Rejected
from agents.failure import code_of, failed
from agents.metrics import StageMetrics
from agents.processor import Holder, Publisher
from agents.task import Task
from streams.dead_letters import dead_letter
from streams.errors import UndecodableEvent
from streams.events import Event, StageFailed
from streams.record import Record

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
