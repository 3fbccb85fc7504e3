"""The events of one SSE connection, from the broker's job updates and from the job store.

Each generator subscribes to job updates before it reads the store. So no change is lost in between.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import get_args

from gateway.live.event_stream import (
    JobEvent,
    JobEventId,
    TimeEventId,
    format_event,
    format_id,
    format_preamble,
)
from storage.errors import StoreUnavailable
from storage.jobs.store import JobQuery, JobStatus, JobStore
from streams.consumers.feed import JobFeed, Mailbox

# No updates arrive while Kafka is down, so a stream of one job also reads the store this often.
REREAD_S = 5.0

BACKFILL_PAGE = 200

# A job update arrives some time after the write, and the writer's clock may differ. So a backfill
# starts this long before the last event that the client received.
OVERLAP = timedelta(seconds=15)


class Backfill:
    """Reads from the store, page by page, the jobs of a group that changed since an event id.

    All pages, together with the job updates that arrive after ``started``, contain every change.
    """

    def __init__(self, jobs: JobStore, group: str | None, since: TimeEventId) -> None:
        self.started = TimeEventId.now()
        self.store_unavailable = False
        self._jobs = jobs
        everything = JobQuery(
            statuses=frozenset(get_args(JobStatus)),
            group=group,
            written_after=min(since.at, self.started.at) - OVERLAP,
            limit=BACKFILL_PAGE,
        )
        self._queries = [everything]
        if group is not None:  # a deleted job no longer has a group
            self._queries.append(replace(everything, group=None, statuses=frozenset({"deleted"})))

    @property
    def done(self) -> bool:
        return not self._queries

    async def read(self) -> Sequence[JobEvent]:
        """Return the next page; empty, with `store_unavailable` set, if the store is down."""
        query = self._queries[0]
        try:
            page = await self._jobs.find(query)
        except StoreUnavailable:
            self.store_unavailable = True
            return ()
        self.store_unavailable = False
        more = [replace(query, cursor=page.cursor)] if page.cursor else []
        self._queries = [*more, *self._queries[1:]]
        return [JobEvent.from_job(job) for job in page.jobs]


@dataclass(frozen=True)
class LiveJobs:
    """Generates the frames of each connection.

    A generator ends when ``feed`` closes its mailbox: the client is too slow, or the gateway stops.
    The client then reconnects with its last event id.
    """

    feed: JobFeed
    jobs: JobStore
    reread_s: float = REREAD_S

    async def follow_job(
        self, job_id: str, since: JobEventId | None
    ) -> AsyncGenerator[bytes, None]:
        """Send the job's current state unless the client has it, then each change.

        Ends after the final state.
        """
        with self.feed.subscribe_to_job(job_id) as mailbox:
            yield format_preamble()
            last = since
            while not mailbox.closed:
                for state in await self._states(job_id, mailbox, last):
                    if state.event_id != last:
                        yield _frame(state, state.event_id)
                    last = state.event_id
                    if state.final:
                        return
                await mailbox.wait(self.reread_s)

    async def follow_group(
        self, group: str | None, since: TimeEventId | None
    ) -> AsyncGenerator[bytes, None]:
        """Send every change of the group's jobs from now on; of all jobs if ``group`` is None.

        With ``since``, and after a gap in the job updates, a backfill from the store is sent too;
        live updates may come between its pages. An event id is the time up to which the client has
        all changes. The id stays the same during a backfill, so a client that loses its connection
        gets the whole backfill again.
        """
        with self.feed.subscribe_to_group(group) as mailbox:
            event_id = since or TimeEventId.now()
            backfill = Backfill(self.jobs, group, event_id) if since else None
            yield format_preamble(event_id)
            while not mailbox.closed:
                if mailbox.take_gap():
                    backfill = Backfill(self.jobs, group, event_id)
                if backfill and (states := await backfill.read()):
                    yield _frames(states, event_id)
                if backfill and backfill.done:
                    event_id, backfill = backfill.started, None
                    yield format_id(event_id)
                if pending := mailbox.take():
                    states = [JobEvent.from_update(each.update) for each in pending]
                    event_id = event_id if backfill else TimeEventId(pending[-1].received_ms)
                    yield _frames(states, event_id)
                elif backfill is None:
                    await mailbox.wait()
                elif backfill.store_unavailable:
                    await mailbox.wait(self.reread_s)

    async def _states(
        self, job_id: str, mailbox: Mailbox, last: JobEventId | None
    ) -> Sequence[JobEvent]:
        """Return the states that arrived and are not older than ``last``.

        If none arrived, return the store's state, which is never older than ``last``.
        """
        if pending := mailbox.take():
            states = [JobEvent.from_update(each.update) for each in pending]
            return [state for state in states if last is None or state.event_id >= last]
        try:
            job = await self.jobs.get(job_id)
        except StoreUnavailable:
            return ()
        return [JobEvent.from_job(job)] if job else ()


def _frame(state: JobEvent, event_id: JobEventId | TimeEventId) -> bytes:
    return format_event("job", state.model_dump_json(), event_id)


def _frames(states: Sequence[JobEvent], event_id: TimeEventId) -> bytes:
    return b"".join(_frame(state, event_id) for state in states)
