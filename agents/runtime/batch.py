"""One batch of one stage, from raw records to acknowledged results: DESIGN's stage contract."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

import structlog
from opentelemetry.trace import NoOpTracer, Tracer

from agents.runtime.compute import ComputePool
from agents.runtime.metrics import StageMetrics
from agents.runtime.processor import Holder, Publisher
from agents.runtime.publishing import Outbox
from agents.runtime.results import ResultShelf
from agents.runtime.retry import Fate, RetryPolicy, asked_s
from agents.runtime.task import Task, consuming
from agents.stages.errors import Rejected
from agents.stages.stage import Outcome, Reused, Stage, Stopgap
from storage.artifacts.store import ArtifactStore
from streams.broker.records import Record
from streams.errors import UndecodableEvent, UnknownStage
from streams.events.codec import Decoder
from streams.events.models import Event, StageResult
from streams.stages.graph import StageGraph

log = structlog.get_logger()

TAKE = 32
"""Records read at once; they are computed in rounds of the stage's own batch."""


class StageProcessor:
    """Runs one `Stage`: decode, skip what is known, compute, publish; holds, retries, gives up."""

    def __init__(
        self,
        stage: Stage,
        *,
        graph: StageGraph,
        artifacts: ArtifactStore,
        publisher: Publisher,
        pool: ComputePool,
        metrics: StageMetrics,
        deleted: Container[str] = frozenset(),
        policy: RetryPolicy | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.name = stage.name
        self.topics = (stage.consumes.topic,)
        self.batch = max(TAKE, stage.batch)
        self.progress_seen = time.monotonic()
        self._policy = policy or RetryPolicy()
        # Every try of a full round may run into its limit twice: whole, and split.
        self.patience_s = 2.0 * self._policy.attempts * stage.batch * stage.timeout_s
        self._stage = stage
        self._graph = graph
        self._artifacts = artifacts
        self._pool = pool
        self._metrics = metrics
        self._deleted = deleted
        self._tracer = tracer or NoOpTracer()
        self._decoder = Decoder([stage.consumes])
        self._shelf = ResultShelf(stage, artifacts)
        self._hold = Holder(stage.name, self._policy)
        self._outbox = Outbox(stage.name, publisher, self._hold, metrics)
        metrics.begin_with(stage.name, computes=True)

    @property
    def holding(self) -> str | None:
        return self._hold.holding

    async def process(self, records: Sequence[Record]) -> None:
        """Finish all of ``records``; every effect is acknowledged when it returns."""
        self._metrics.received.labels(self.name).inc(len(records))
        opened = [task for record in records if (task := await self._open(record))]
        fresh = await self._serve_known(opened)
        for start in range(0, len(fresh), self._stage.batch):
            await self._finish(fresh[start : start + self._stage.batch])
        self._hold.release()

    async def _serve_known(self, tasks: Sequence[Task]) -> list[Task]:
        """Publish at once what was computed before; return the tasks that are left."""
        events = [task.event for task in tasks]
        if not any(isinstance(event, StageResult) and not event.force for event in events):
            return list(tasks)
        look_up = partial(self._pool.run, lambda: self._shelf.kept(events), self._stage.timeout_s)
        try:
            kept = await self._hold.until_back(look_up)
        except Exception as error:  # noqa: BLE001 - only a short cut: compute instead
            log.warning("not looked up", action="skip", stage=self.name, error=repr(error))
            return list(tasks)
        known = [(task, found) for task, found in zip(tasks, kept, strict=True) if found]
        left = [task for task, found in zip(tasks, kept, strict=True) if not found]
        with self._measured([task for task, _ in known]):
            again = await self._settle([task for task, _ in known], [found for _, found in known])
        return [*again, *left]

    async def _finish(self, tasks: list[Task]) -> None:
        """Compute one round, until each of its tasks has been published or given up."""
        with self._measured(tasks):
            while tasks := [each for each in tasks if each.event.job_id not in self._deleted]:
                outcomes = await self._attempt(tasks)
                tasks = await self._settle(tasks, outcomes)
        self.progress_seen = time.monotonic()

    def _measured(self, tasks: Sequence[Task]) -> AbstractContextManager[None]:
        return self._metrics.batch(self.name, [task.envelope.time for task in tasks])

    # -- reading ---------------------------------------------------------------------------

    async def _open(self, record: Record) -> Task | None:
        """Decode a record; None when there is nothing to do for it, or nothing to be done."""
        try:
            envelope = self._decoder.decode(record)
        except UndecodableEvent as error:
            await self._outbox.discard(record, error)
            return None
        if envelope.event.job_id in self._deleted:
            return None
        span = consuming(self._tracer, self.name, record, envelope)
        try:
            wanted = self._wanted(envelope.event)
        except UnknownStage as error:
            await self._outbox.fail(
                Task(record, envelope, (), span=span), Rejected(error.code, str(error))
            )
            return None
        return Task(record, envelope, wanted, span=span) if self.name in wanted else None

    def _wanted(self, event: Event) -> tuple[str, ...]:
        """Return the stages of the event's run. Raises `UnknownStage`.

        A submission may name the last one alone; a result names all of its run, which a replay
        may have begun in the middle.
        """
        if isinstance(event, StageResult):
            return event.stages or self._graph.names
        return self._graph.closure(getattr(event, "stages", ()))

    # -- working ---------------------------------------------------------------------------

    async def _attempt(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Return one outcome a task, from as many chunks in parallel as there are threads."""
        width = self._pool.threads
        chunks = [list(range(len(tasks)))[i::width] for i in range(min(width, len(tasks)))]
        answers = await asyncio.gather(
            *(self._compute([tasks[i] for i in chunk]) for chunk in chunks)
        )
        outcomes: dict[int, Outcome] = {}
        for chunk, answer in zip(chunks, answers, strict=True):
            outcomes.update(zip(chunk, answer, strict=True))
        return [outcomes[i] for i in range(len(tasks))]

    async def _compute(self, tasks: Sequence[Task]) -> Sequence[Outcome]:
        """Run the stage's own code on a chunk; a chunk that fails as a whole is split."""
        events = [task.event for task in tasks]
        try:
            return await self._pool.run(
                lambda: self._shelf.fill(events),
                self._stage.timeout_s * len(events),
            )
        except Exception as error:  # noqa: BLE001 - decided on below, by the retry policy
            if len(tasks) == 1 or self._policy.decide(error, 1) is not Fate.RETRY:
                return [error] * len(tasks)
            log.warning(
                "split",
                action="split",
                stage=self.name,
                size=len(tasks),
                jobs=[task.event.job_id for task in tasks],
                error=repr(error),
            )
            return [outcome for task in tasks for outcome in await self._compute([task])]

    # -- settling --------------------------------------------------------------------------

    async def _settle(self, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> list[Task]:
        """Publish what is decided; return the tasks to try again, after their backoff."""
        results: list[tuple[Task, Event]] = []
        again: list[Task] = []
        held: list[Exception] = []
        for task, outcome in zip(tasks, map(self._result, tasks, outcomes), strict=True):
            if not isinstance(outcome, Exception):
                results.append((task, outcome))
                continue
            fate = self._policy.decide(outcome, task.attempts + 1)
            if fate is Fate.HOLD:
                held.append(outcome)
                again.append(replace(task, held=task.held + 1))
            elif fate is Fate.RETRY:
                self._metrics.retries.labels(self.name).inc()
                again.append(replace(task, attempts=task.attempts + 1))
            else:
                await self._outbox.fail(replace(task, attempts=task.attempts + 1), outcome)
        await self._outbox.results(results)
        if held:
            await self._hold.wait(max(held, key=asked_s), max(task.held for task in again))
        elif again:
            await asyncio.sleep(self._policy.delay(max(task.attempts for task in again)))
        return again

    def _result(self, task: Task, outcome: Outcome) -> StageResult | Exception:
        """Make the event of an outcome; what does not fit the event is an error."""
        if isinstance(outcome, Exception):
            return outcome
        reused = isinstance(outcome, Reused)
        payload = outcome.payload if isinstance(outcome, Reused | Stopgap) else outcome
        (self._metrics.reused if reused else self._metrics.computed).labels(self.name).inc()
        if isinstance(outcome, Stopgap):
            self._metrics.stopgaps.labels(self.name).inc()
        event = task.event
        task.span.set_attribute("lookstream.reused", reused)
        facts = {
            "job_id": event.job_id,
            "run": event.run,
            "lane": event.lane,
            "sha256": getattr(event, "sha256", None),
            "stages": task.wanted,
            "force": getattr(event, "force", False),
            "attempts": task.attempts + 1,
            "started_at": task.started_at,
            "reused": reused,
        }
        try:
            return self._stage.emits.model_validate({**facts, **payload.model_dump()})
        except Exception as error:  # noqa: BLE001 - a stage may return anything
            return error
