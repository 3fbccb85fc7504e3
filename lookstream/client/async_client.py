"""The client for programs on an event loop: the same methods as `Client`, to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from lookstream.client import downloading, reading, submitting
from lookstream.client.asking import Gateway
from lookstream.client.async_transport import AsyncTransport, T
from lookstream.client.client import ANSWER_WITHIN_S
from lookstream.client.connecting import Address
from lookstream.client.exchange import Flow
from lookstream.client.following import Following
from lookstream.client.inputs import expand
from lookstream.client.outcomes import handed_over, waited_for
from lookstream.client.patience import Patience
from lookstream.client.photos import Photo
from lookstream.client.progress import Steps, Unseen, bars
from lookstream.client.replies import (
    Accepted,
    Info,
    JobEvent,
    Outcome,
    Page,
    Prediction,
    Replay,
    Rerun,
    Similar,
)
from lookstream.client.results import Job
from lookstream.client.submitting import Order
from lookstream.client.wishes import Filters, ReplayWishes, RunAgain, Wishes
from lookstream.errors import GatewayUnreachable, NotNow


class AsyncClient:
    """Talks to one gateway, from one event loop. Every method is as `Client`'s of that name."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout_s: float = ANSWER_WITHIN_S,
        patience: Patience | None = None,
    ) -> None:
        address = Address.of(base_url, timeout_s)
        self.base_url = address.base_url
        self._gateway = Gateway(patience or Patience())
        self._transport = AsyncTransport(address)

    # -- handing over ----------------------------------------------------------------------

    async def submit(
        self,
        photo: Photo,
        *,
        idempotency_key: str | None = None,
        once: bool = False,
        **wishes: Unpack[Wishes],
    ) -> Accepted:
        """Hand over one photo."""
        order = Order(wishes, idempotency_key, once)
        return await self._run(submitting.submit(self._gateway, photo, order))

    async def submit_all(
        self,
        photos: Photo | Iterable[Photo],
        *,
        wait: bool = False,
        progress: bool | Steps = False,
        once: bool = False,
        parallel: int = 8,
        **wishes: Unpack[Wishes],
    ) -> list[Outcome]:
        """Hand over many photos at once; return one outcome each, in order."""
        steps = bars(wait=wait) if progress is True else progress or Unseen()
        order = Order(wishes, once=once)
        sending, waiting = asyncio.Semaphore(parallel), asyncio.Semaphore(parallel)

        async def one(photo: Photo) -> Outcome:
            async with sending:
                outcome = await self._run(handed_over(self._gateway, photo, order))
            steps.submitted()
            if wait and outcome.accepted is not None:
                async with waiting:
                    job_id, poll_s = outcome.accepted.job_id, reading.LONG_POLL_S
                    flow = waited_for(self._gateway, outcome, job_id, poll_s)
                    outcome = await self._run(flow)
            steps.finished()
            return outcome

        found = await asyncio.to_thread(expand, photos)
        steps.begin(len(found))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(photo)) for photo in found]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            steps.end()
        return [task.result() for task in tasks]

    # -- reading ---------------------------------------------------------------------------

    async def job(self, job_id: str, *, wait_s: float = 0.0) -> Job:
        """Return a job, or wait for its end."""
        return await self._run(reading.job(self._gateway, job_id, wait_s=wait_s))

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return a job once it is completed or failed."""
        return await self._run(reading.wait(self._gateway, job_id, timeout_s=timeout_s))

    async def jobs(self, **filters: Unpack[Filters]) -> AsyncIterator[Job]:
        """Yield all jobs that the filters let through, the newest first."""
        cursor: str | None = None
        while True:
            found = await self.page(cursor=cursor, **filters)
            for job in found.jobs:
                yield job
            if (cursor := found.cursor) is None:
                return

    async def page(
        self,
        *,
        cursor: str | None = None,
        limit: int = reading.PAGE,
        counts: bool = False,
        **filters: Unpack[Filters],
    ) -> Page:
        """Return one page of jobs."""
        return await self._run(
            reading.page(self._gateway, filters, cursor=cursor, limit=limit, counts=counts)
        )

    async def similar(
        self, job_id: str, *, limit: int = reading.SIMILAR, group: str | None = None
    ) -> list[Similar]:
        """Return the jobs whose photos are most like this job's, the best first."""
        return await self._run(reading.similar(self._gateway, job_id, limit=limit, group=group))

    async def stream(
        self,
        job_id: str | None = None,
        *,
        group: str | None = None,
        last_event_id: str | None = None,
    ) -> AsyncIterator[JobEvent]:
        """Yield every change of a job until its end; or of a group, or of all jobs."""
        following = Following(self._gateway, job_id, group, last_event_id)
        while not following.over:
            try:
                async with self._transport.stream(following.request()) as (answer, lines):
                    following.opened(answer)
                    async for line in lines:
                        if change := following.heard(line):
                            yield change
                        if following.over:
                            return
                pause = following.ended()
            except (GatewayUnreachable, NotNow) as error:
                pause = following.ended(error)
            if not following.over:
                await self._transport.pause(pause)

    async def download(self, job_id: str, folder: Path | str) -> list[Path]:
        """Fetch all artifacts of a job into a folder."""
        return await self._run(downloading.download(self._gateway, job_id, Path(folder)))

    async def info(self) -> Info:
        """Return where the running system is."""
        return await self._run(reading.info(self._gateway))

    # -- changing --------------------------------------------------------------------------

    async def delete(self, job_id: str) -> None:
        """Delete a job."""
        await self._run(reading.delete(self._gateway, job_id))

    async def rerun(self, job_id: str, **wishes: Unpack[RunAgain]) -> Rerun:
        """Process a job again."""
        return await self._run(reading.rerun(self._gateway, job_id, wishes))

    async def predict(self, url: str) -> Prediction:
        """Classify a picture on the web."""
        return await self._run(reading.predict(self._gateway, url))

    async def replay(self, topic: str, **wishes: Unpack[ReplayWishes]) -> Replay:
        """Publish events of a topic again."""
        return await self._run(reading.replay(self._gateway, topic, wishes))

    async def replay_now(self, replay_id: str) -> Replay:
        """Return how far a replay is."""
        return await self._run(reading.replay_now(self._gateway, replay_id))

    # -- itself ----------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(self, flow: Flow[T]) -> T:
        return await self._transport.run(flow)
