"""Live status: the frames of an event stream, from what the broker says and the store keeps.

A listener is subscribed before the store is read, so nothing falls between the two.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from gateway.live.backfill import Backfill
from gateway.live.event_ids import JobMark, TimeMark
from gateway.live.event_stream import JobEvent, event, opening, position
from storage.errors import StoreUnavailable
from storage.jobs.store import JobStore
from streams.consumers.feed import JobFeed, Mailbox

# Nothing is heard while Kafka is away, so who waits for one job looks for itself as well.
REREAD_S = 5.0


@dataclass(frozen=True)
class LiveJobs:
    """Makes the frames of one listener after the other. Each ends where ``feed`` closes its
    mailbox: it is too slow, or the gateway stops. The client then goes on from its last id."""

    feed: JobFeed
    jobs: JobStore
    reread_s: float = REREAD_S

    async def of_job(self, job_id: str, since: JobMark | None) -> AsyncGenerator[bytes, None]:
        """Tell the state of one job as it is, unless that is ``since``, then its changes, and end
        with its final state."""
        with self.feed.subscribe_to_job(job_id) as mailbox:
            yield opening()
            last = since
            while not mailbox.closed:
                for state in await self._states(job_id, mailbox, last):
                    if state.mark != last:
                        yield _frame(state, state.mark)
                    last = state.mark
                    if state.final:
                        return
                await mailbox.wait(self.reread_s)

    async def of_group(
        self, group: str | None, since: TimeMark | None
    ) -> AsyncGenerator[bytes, None]:
        """Tell every change of a group's jobs (of all jobs when None) from now on; with ``since``,
        and where the follower may have missed something, first what the store has since then.

        The ids say when the gateway heard of it. Until the store has told everything, they stay
        where they were: a listener that is cut meanwhile begins there again.
        """
        with self.feed.subscribe_to_group(group) as mailbox:
            mark = since or TimeMark.now()
            past = Backfill(self.jobs, group, mark) if since else None
            yield opening(mark)
            while not mailbox.closed:
                if mailbox.take_gap():
                    past = Backfill(self.jobs, group, mark)
                if past and (states := await past.read()):
                    yield _frames(states, mark)
                if past and past.done:
                    mark, past = past.begun, None
                    yield position(mark)
                if news := mailbox.take():
                    heard = [JobEvent.heard(each.update) for each in news]
                    mark = mark if past else TimeMark(news[-1].received_ms)
                    yield _frames(heard, mark)
                elif past is None:
                    await mailbox.wait()
                elif past.stuck:
                    await mailbox.wait(self.reread_s)

    async def _states(
        self, job_id: str, mailbox: Mailbox, last: JobMark | None
    ) -> Sequence[JobEvent]:
        """Return what was heard since the last time, without what is older than ``last``; where
        nothing was heard, what the store has, and that is always right."""
        if news := mailbox.take():
            heard = [JobEvent.heard(each.update) for each in news]
            return [state for state in heard if last is None or state.mark >= last]
        try:
            job = await self.jobs.get(job_id)
        except StoreUnavailable:
            return ()
        return [JobEvent.read(job)] if job else ()


def _frame(state: JobEvent, mark: JobMark | TimeMark) -> bytes:
    return event("job", state.model_dump_json(), mark)


def _frames(states: Sequence[JobEvent], mark: TimeMark) -> bytes:
    return b"".join(_frame(state, mark) for state in states)
