"""Runs one stage: decodes records, computes results, and publishes results and failures."""

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
from agents.runtime.own_keys import with_own_keys
from agents.runtime.processor import Publisher
from agents.runtime.publishing import EventPublisher
from agents.runtime.result_cache import ResultCache
from agents.runtime.retry import (
    RetryDecision,
    RetryPolicy,
    UnavailableRetry,
    is_unavailable,
    requested_delay_s,
)
from agents.runtime.work_item import WorkItem, start_consumer_span
from agents.stages.errors import Rejected, TakesLong
from agents.stages.stage import CachedResult, FallbackResult, Outcome, Stage
from storage.artifacts.store import ArtifactStore
from storage.errors import StoreUnavailable
from streams.broker.records import Record
from streams.errors import UndecodableEvent, UnknownStage
from streams.events.codec import Decoder
from streams.events.models import Event, StageResult
from streams.stages.graph import StageGraph

log = structlog.get_logger()

BATCH = 32
"""Smallest number of records read at once. They are computed in rounds of `Stage.batch`."""


STORE_CHECK_S = 20.0
"""After a stage's time-out, the artifact store is checked. A store that does not answer within this
time in seconds counts as unavailable."""


class StageProcessor:
    """The `Processor` of one `Stage`.

    ``process`` decodes the records, publishes cached results, computes the rest in rounds, and
    retries each round's events until each one has a published result or failure. ``name`` replaces
    the stage's name as the name of the consumer group.
    """

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
        name: str = "",
    ) -> None:
        self.name = name or stage.name
        self.topics = stage.node.topics
        self.batch = max(BATCH, stage.batch)
        self.last_progress = time.monotonic()
        self._policy = policy or RetryPolicy()
        # Each try of a full round can time out twice: as a whole, and after the split.
        self.step_limit_s = 2.0 * self._policy.attempts * stage.batch * stage.timeout_s
        self._stage = stage
        self._graph = graph
        self._artifacts = artifacts
        self._pool = pool
        self._metrics = metrics
        self._deleted = deleted
        self._tracer = tracer or NoOpTracer()
        self._decoder = Decoder([stage.consumes, *stage.also_consumes])
        self._cache = ResultCache(stage, artifacts)
        self._retry = UnavailableRetry(stage.name, self._policy)
        self._publish = EventPublisher(stage.name, publisher, self._retry, metrics)
        metrics.initialise(stage.name, computes=True)

    @property
    def waiting_for(self) -> str | None:
        return self._retry.waiting_for

    async def process(self, records: Sequence[Record]) -> None:
        """Process all of ``records``; return when the broker has all results and failures."""
        self._metrics.received.labels(self.name).inc(len(records))
        items = [item for record in records if (item := await self._open(record))]
        uncached = await self._publish_cached(items)
        for start in range(0, len(uncached), self._stage.batch):
            await self._finish(uncached[start : start + self._stage.batch])
        self._retry.clear()

    async def _publish_cached(self, items: Sequence[WorkItem]) -> list[WorkItem]:
        """Publish the results that are in the cache; return the other items."""
        events = [item.event for item in items]
        if not any(isinstance(event, StageResult) and not event.force for event in events):
            return list(items)
        look_up = partial(self._pool.run, lambda: self._cache.get(events), self._stage.timeout_s)
        try:
            cached = await self._retry.until_available(look_up)
        except Exception as error:  # noqa: BLE001 - the cache only saves work: compute instead
            log.warning("cache_lookup_failed", stage=self.name, error=repr(error))
            return list(items)
        known = [(item, found) for item, found in zip(items, cached, strict=True) if found]
        unknown = [item for item, found in zip(items, cached, strict=True) if not found]
        with self._measured([item for item, _ in known]):
            again = await self._settle([item for item, _ in known], [found for _, found in known])
        return [*again, *unknown]

    async def _finish(self, items: list[WorkItem]) -> None:
        """Compute one round until each item's result or failure is published."""
        with self._measured(items):
            while items := [each for each in items if each.event.job_id not in self._deleted]:
                outcomes = await self._attempt(items)
                items = await self._settle(items, outcomes)
        self.last_progress = time.monotonic()

    def _measured(self, items: Sequence[WorkItem]) -> AbstractContextManager[None]:
        return self._metrics.batch(self.name, [item.envelope.time for item in items])

    # -- decoding --------------------------------------------------------------------------

    async def _open(self, record: Record) -> WorkItem | None:
        """Decode a record; return None when this stage has no work to do for the record."""
        try:
            envelope = with_own_keys(self._decoder.decode(record))
        except UndecodableEvent as error:
            await self._publish.discard(record, error)
            return None
        if envelope.event.job_id in self._deleted:
            return None
        span = start_consumer_span(self._tracer, self.name, record, envelope)
        try:
            wanted = self._wanted(envelope.event)
        except UnknownStage as error:
            item = WorkItem(record, envelope, (), span=span)
            await self._publish.fail(item, Rejected(error.code, str(error)))
            return None
        if self._stage.name not in wanted or not self._stage.wants(envelope.event):
            return None
        return WorkItem(record, envelope, wanted, span=span)

    def _wanted(self, event: Event) -> tuple[str, ...]:
        """Return the stages of the event's run. Raises `UnknownStage`.

        A submission names the last stages only, so the stages before them are added. A result
        names all stages of its run; a replay's run may begin after the first stage.
        """
        if isinstance(event, StageResult):
            return event.stages or self._graph.names
        return self._graph.closure(getattr(event, "stages", ()))

    # -- computing -------------------------------------------------------------------------

    async def _attempt(self, items: Sequence[WorkItem]) -> list[Outcome]:
        """Return one outcome for each item. Divide the items into as many parts as the pool has
        threads, and compute the parts in parallel."""
        width = self._pool.threads
        chunks = [list(range(len(items)))[i::width] for i in range(min(width, len(items)))]
        answers = await asyncio.gather(
            *(self._compute([items[i] for i in chunk]) for chunk in chunks)
        )
        outcomes: dict[int, Outcome] = {}
        for chunk, answer in zip(chunks, answers, strict=True):
            outcomes.update(zip(chunk, answer, strict=True))
        return [outcomes[i] for i in range(len(items))]

    async def _compute(self, items: Sequence[WorkItem]) -> Sequence[Outcome]:
        """Call the stage with ``items``. If the call raises an error that is worth a retry, call
        the stage again with each item alone."""
        events = [item.event for item in items]
        try:
            return await self._pool.run(
                lambda: self._cache.compute(events),
                self._stage.timeout_s * len(events),
            )
        except Exception as caught:  # noqa: BLE001 - the retry policy decides in `_settle`
            error = await self._cause(caught)
            if len(items) == 1 or self._policy.decide(error, 1) is not RetryDecision.RETRY:
                return [error] * len(items)
            log.warning(
                "batch_split",
                stage=self.name,
                size=len(items),
                jobs=[item.event.job_id for item in items],
                error=repr(error),
            )
            return [outcome for item in items for outcome in await self._compute([item])]

    async def _cause(self, error: Exception) -> Exception:
        """Return the store's error if ``error`` is a time-out and the artifact store is unavailable
        now; else return ``error``.

        A store on a network file system has no time limit of its own, so it can make a stage time
        out.
        """
        if not isinstance(error, TimeoutError):
            return error
        try:
            await self._pool.run(lambda: self._artifacts.check(), STORE_CHECK_S)
        except TimeoutError:
            return StoreUnavailable("the artifact store does not answer")
        except Exception as found:  # noqa: BLE001 - only the store's absence matters
            return found if is_unavailable(found) else error
        return error

    # -- settling --------------------------------------------------------------------------

    async def _settle(
        self, items: Sequence[WorkItem], outcomes: Sequence[Outcome]
    ) -> list[WorkItem]:
        """Publish results and final failures. Return the items to try again, after the delay before
        the next try."""
        results: list[tuple[WorkItem, Event]] = []
        again: list[WorkItem] = []
        unavailable: list[Exception] = []
        for item, outcome in zip(items, map(self._result, items, outcomes), strict=True):
            if not isinstance(outcome, Exception):
                results.append((item, outcome))
                continue
            if isinstance(outcome, TakesLong) and self._stage.postponed:
                results.append((item, self._stage.postponed(item.event)))
                continue
            decision = self._policy.decide(outcome, item.attempts + 1)
            if decision is RetryDecision.WAIT:
                unavailable.append(outcome)
                again.append(replace(item, waits=item.waits + 1))
            elif decision is RetryDecision.RETRY:
                self._metrics.retries.labels(self.name).inc()
                again.append(replace(item, attempts=item.attempts + 1))
            else:
                await self._publish.fail(replace(item, attempts=item.attempts + 1), outcome)
        await self._publish.results(results)
        if unavailable:
            longest = max(unavailable, key=requested_delay_s)
            await self._retry.wait(longest, max(item.waits for item in again))
        elif again:
            await asyncio.sleep(self._policy.delay(max(item.attempts for item in again)))
        return again

    def _result(self, item: WorkItem, outcome: Outcome) -> StageResult | Exception:
        """Return the event of an outcome, or an error when the payload does not fit the event."""
        if isinstance(outcome, Exception):
            return outcome
        reused = isinstance(outcome, CachedResult)
        payload = outcome.payload if isinstance(outcome, CachedResult | FallbackResult) else outcome
        (self._metrics.reused if reused else self._metrics.computed).labels(self.name).inc()
        if isinstance(outcome, FallbackResult):
            self._metrics.fallbacks.labels(self.name).inc()
        event = item.event
        item.span.set_attribute("lookstream.reused", reused)
        facts = {
            "job_id": event.job_id,
            "run": event.run,
            "lane": event.lane,
            "sha256": getattr(event, "sha256", None),
            "stages": item.wanted,
            "force": getattr(event, "force", False),
            "attempts": item.attempts + 1,
            "started_at": item.started_at,
            "reused": reused,
            "wanted_item": getattr(event, "wanted_item", None),
        }
        try:
            return self._stage.emits.model_validate({**facts, **payload.model_dump()})
        except Exception as error:  # noqa: BLE001 - a stage may return a wrong type
            return error
