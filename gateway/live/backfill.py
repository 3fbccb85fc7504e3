"""What has been written while a listener was away, page by page from the job store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import get_args

from gateway.live.event_ids import TimeMark
from gateway.live.event_stream import JobEvent
from storage.errors import StoreUnavailable
from storage.jobs.store import JobQuery, JobStatus, JobStore

PAGE = 200

# A change is heard some time after it was written, by the clock of another machine: what was
# written shortly before the last thing that was heard may not have been heard yet.
OVERLAP = timedelta(seconds=15)


class Backfill:
    """Reads the jobs of a group that were written since a mark. ``begun`` is when it started: with
    what is heard from then on, nothing is missing once it is ``done``."""

    def __init__(self, jobs: JobStore, group: str | None, since: TimeMark) -> None:
        self.begun = TimeMark.now()
        self.stuck = False
        self._jobs = jobs
        everything = JobQuery(
            statuses=frozenset(get_args(JobStatus)),
            group=group,
            written_after=min(since.at, self.begun.at) - OVERLAP,
            limit=PAGE,
        )
        self._left = [everything]
        if group is not None:  # a deleted job has lost its group
            self._left.append(replace(everything, group=None, statuses=frozenset({"deleted"})))

    @property
    def done(self) -> bool:
        return not self._left

    async def read(self) -> Sequence[JobEvent]:
        """Return the next page. While the store is out of reach, nothing, and ``stuck`` is set."""
        query = self._left[0]
        try:
            page = await self._jobs.find(query)
        except StoreUnavailable:
            self.stuck = True
            return ()
        self.stuck = False
        more = [replace(query, cursor=page.cursor)] if page.cursor else []
        self._left = [*more, *self._left[1:]]
        return [JobEvent.read(job) for job in page.jobs]
