"""Run replays in the background of a gateway, one at a time, and store their progress."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
import uuid_utils

from gateway.deps import GatewayDeps
from gateway.http.problems import Problem
from gateway.replays.reruns import LAST_RUN
from gateway.replays.state import (
    INTERRUPTED,
    SAVE_EVERY_S,
    ReplayError,
    ReplayState,
    load,
    save,
)
from storage.errors import StorageError
from storage.jobs.store import Job
from streams.consumers.replay import EventFilter, ReplayPlan, TopicScan, with_run
from streams.errors import StreamError
from streams.events.codec import Envelope
from streams.events.models import Event
from streams.events.tracing import start_traces

log = structlog.get_logger(__name__)

BATCH = 100
MAX_REPLAYS = 16


@dataclass(frozen=True)
class ReplayCommand:
    """One request for a replay; ``rate`` is in events per second."""

    topic: str
    plan: ReplayPlan
    selection: EventFilter
    rate: float | None = None
    force: bool = False
    dry_run: bool = False


@dataclass
class Progress:
    """Counters of a running replay. The replay's thread and task write, other tasks read."""

    found: TopicScan = field(default_factory=TopicScan)
    published: int = 0
    skipped: int = 0
    stopping: bool = False

    def apply_to(self, state: ReplayState, now: datetime) -> ReplayState:
        """Return ``state`` with the current counters."""
        changed = {
            "read": self.found.read,
            "matched": len(self.found.newest),
            "published": self.published,
            "skipped": self.found.undecodable + self.skipped,
            "heard_at": now,
        }
        return state.model_copy(update=changed)


class ReplayService:
    """The replays of this gateway, one at a time.

    Two replays at the same time could start two runs of the same job, and need twice the memory.
    """

    def __init__(self, deps: GatewayDeps) -> None:
        self._deps = deps
        self._tracer = deps.tracers.get_tracer("lookstream", deps.version)
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[str, tuple[ReplayState, Progress]] = {}

    async def start(self, order: ReplayCommand) -> ReplayState:
        """Queue a replay and return its first state. Raises `Problem` and `StoreUnavailable`."""
        if len(self._tasks) >= MAX_REPLAYS:
            raise Problem(
                "too-many-replays", f"{MAX_REPLAYS} replays are running or queued; try again later"
            )
        now = datetime.now(UTC)
        state = ReplayState(
            replay_id=str(uuid_utils.uuid7()),
            topic=order.topic,
            dry_run=order.dry_run,
            started_at=now,
            heard_at=now,
        )
        await asyncio.to_thread(save, state, self._deps.artifacts)
        task = asyncio.create_task(self._run(order, state), name=f"replay {state.replay_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return state

    async def find(self, replay_id: str) -> ReplayState | None:
        """Return the state of a replay of any gateway, or None if there is no such replay."""
        now = datetime.now(UTC)
        if running := self._running.get(replay_id):
            return running[1].apply_to(running[0], now)
        state = await asyncio.to_thread(load, replay_id, self._deps.artifacts)
        return state and state.as_of(now)

    async def close(self) -> None:
        """Cancel all replays. Their stored state becomes failed, with the code `interrupted`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, order: ReplayCommand, state: ReplayState) -> None:
        progress, error = Progress(), None
        self._running[state.replay_id] = state, progress
        saving = asyncio.create_task(self._save_regularly(state, progress))
        try:
            async with self._turn:
                await self._replay(order, progress)
        except asyncio.CancelledError:
            error = INTERRUPTED
            raise
        except (StorageError, StreamError) as cause:
            log.warning("replay_failed", replay_id=state.replay_id, reason=str(cause))
            error = ReplayError(code=cause.code, message=f"A dependency failed: {cause.code}.")
        except Exception as cause:
            log.exception("replay_failed", replay_id=state.replay_id)
            error = ReplayError(code="internal-error", message=type(cause).__name__)
        finally:
            progress.stopping = True
            saving.cancel()
            now = datetime.now(UTC)
            await self._save_final(progress.apply_to(state, now).finish(now, error))
            del self._running[state.replay_id]

    async def _save_final(self, state: ReplayState) -> None:
        with contextlib.suppress(StorageError):  # readers then see it as interrupted
            await asyncio.to_thread(save, state, self._deps.artifacts)
        log.info(
            "replay_ended",
            replay_id=state.replay_id,
            topic=state.topic,
            status=state.status,
            published=state.published,
        )

    async def _save_regularly(self, state: ReplayState, progress: Progress) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            with contextlib.suppress(StorageError):
                seen = progress.apply_to(state, datetime.now(UTC))
                await asyncio.to_thread(save, seen, self._deps.artifacts)

    async def _replay(self, order: ReplayCommand, progress: Progress) -> None:
        await asyncio.to_thread(self._read, order, progress)
        began = asyncio.get_running_loop().time()
        newest = list(progress.found.newest.values())
        size = min(BATCH, max(1, int(order.rate))) if order.rate else BATCH
        for start in range(0, len(newest), size):
            await self._pace(order.rate, start, began)
            await self._publish(newest[start : start + size], order, progress)

    def _read(self, order: ReplayCommand, progress: Progress) -> None:
        for envelope in self._deps.history.read(order.topic, order.selection.since):
            progress.found.add(envelope, order.selection)
            if progress.stopping:
                return

    async def _pace(self, rate: float | None, done: int, began: float) -> None:
        if rate:
            await asyncio.sleep(max(0.0, began + done / rate - asyncio.get_running_loop().time()))

    async def _publish(
        self, envelopes: Sequence[Envelope], order: ReplayCommand, progress: Progress
    ) -> None:
        jobs = await asyncio.gather(*(self._deps.jobs.get(each.event.job_id) for each in envelopes))
        found = [_next(each.event, job, order) for each, job in zip(envelopes, jobs, strict=True)]
        events = [event for event in found if event is not None]
        progress.skipped += len(found) - len(events)
        if not order.dry_run:
            with start_traces(self._tracer, "replay", events) as traced:
                await self._deps.publisher.publish_all(traced)
            progress.published += len(events)


def _next(event: Event, job: Job | None, order: ReplayCommand) -> Event | None:
    """Return the event that starts the job's next run, or None to skip the job.

    A job is skipped if it is missing or deleted, if it wants no stage that consumes the topic, or
    if its run has the largest possible number.
    """
    if job is None or job.status == "deleted" or job.run >= LAST_RUN:
        return None
    stages = order.plan.wanted({*job.wanted, *job.stages})
    if not stages:
        return None
    now = datetime.now(UTC)
    return with_run(event, run=job.run + 1, stages=stages, force=order.force, now=now)
