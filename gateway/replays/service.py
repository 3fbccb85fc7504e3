"""Run replays beside the requests: one at a time, each told of as it goes."""

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
WAITING = 16
LAST_RUN = 2**31 - 1


@dataclass(frozen=True)
class ReplayCommand:
    """What an operator wants replayed; ``rate`` is in events a second."""

    topic: str
    plan: ReplayPlan
    selection: EventFilter
    rate: float | None = None
    force: bool = False
    dry_run: bool = False


@dataclass
class Progress:
    """Where a replay is: written by its own thread and task, read by whoever asks."""

    found: TopicScan = field(default_factory=TopicScan)
    published: int = 0
    left_out: int = 0
    stopping: bool = False

    def seen_in(self, state: ReplayState, now: datetime) -> ReplayState:
        """Return ``state`` with how far it is."""
        changed = {
            "read": self.found.read,
            "matched": len(self.found.newest),
            "published": self.published,
            "skipped": self.found.undecodable + self.left_out,
            "heard_at": now,
        }
        return state.model_copy(update=changed)


class ReplayService:
    """The replays of this gateway. They take turns: two at once would raise runs past each other,
    and hold twice the jobs in memory."""

    def __init__(self, deps: GatewayDeps) -> None:
        self._deps = deps
        self._tracer = deps.tracers.get_tracer("lookstream", deps.version)
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[str, tuple[ReplayState, Progress]] = {}

    async def start(self, order: ReplayCommand) -> ReplayState:
        """Begin a replay and return it as it begins. Raises `Problem` and `StoreUnavailable`."""
        if len(self._tasks) >= WAITING:
            raise Problem("too-many-replays", f"{WAITING} replays wait; come back later")
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
        """Return a replay as it is, whichever gateway runs it or ran it; None for no replay."""
        now = datetime.now(UTC)
        if running := self._running.get(replay_id):
            return running[1].seen_in(running[0], now)
        state = await asyncio.to_thread(load, replay_id, self._deps.artifacts)
        return state and state.seen(now)

    async def close(self) -> None:
        """Break off what runs; it is kept as interrupted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, order: ReplayCommand, state: ReplayState) -> None:
        progress, error = Progress(), None
        self._running[state.replay_id] = state, progress
        telling = asyncio.create_task(self._keep_telling(state, progress))
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
            telling.cancel()
            now = datetime.now(UTC)
            await self._keep(progress.seen_in(state, now).ended(now, error))
            del self._running[state.replay_id]

    async def _keep(self, state: ReplayState) -> None:
        with contextlib.suppress(StorageError):  # it is then seen as interrupted
            await asyncio.to_thread(save, state, self._deps.artifacts)
        log.info(
            "replay_ended",
            replay_id=state.replay_id,
            topic=state.topic,
            status=state.status,
            published=state.published,
        )

    async def _keep_telling(self, state: ReplayState, progress: Progress) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            with contextlib.suppress(StorageError):
                seen = progress.seen_in(state, datetime.now(UTC))
                await asyncio.to_thread(save, seen, self._deps.artifacts)

    # -- the work --------------------------------------------------------------------------

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
        progress.left_out += len(found) - len(events)
        if not order.dry_run:
            with start_traces(self._tracer, "replay", events) as traced:
                await self._deps.publisher.publish_all(traced)
            progress.published += len(events)


def _next(event: Event, job: Job | None, order: ReplayCommand) -> Event | None:
    """Return the event that begins the job's next run; None for a job that there is not, or not
    any more, or that wants nothing of what the topic leads to."""
    if job is None or job.status == "deleted" or job.run >= LAST_RUN:
        return None
    stages = order.plan.wanted({*job.wanted, *job.stages})
    if not stages:
        return None
    now = datetime.now(UTC)
    return with_run(event, run=job.run + 1, stages=stages, force=order.force, now=now)
