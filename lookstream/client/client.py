"""The client for programs that wait for each answer, and for threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from lookstream.client import downloading, reading, submitting
from lookstream.client.asking import Gateway
from lookstream.client.connecting import Address
from lookstream.client.crowd import Crowd
from lookstream.client.exchange import Flow
from lookstream.client.following import Following
from lookstream.client.inputs import expand
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
from lookstream.client.transport import T, Transport
from lookstream.client.wishes import Filters, ReplayWishes, RunAgain, Wishes
from lookstream.errors import GatewayUnreachable, NotNow

ANSWER_WITHIN_S = 30.0


class Client:
    """Talks to one gateway. Thread-safe; to be closed, or used as a context.

    Without an address it is the one of ``LOOKSTREAM_GATEWAY``, or this machine's own.

    Every method raises `GatewayUnreachable` when nobody answers, `NotNow` when the gateway stays
    too busy, and `RequestRefused` with the problem's code when it says no. Before that, what
    passes by itself is asked again for ``patience.total_s`` seconds; ``Retry-After`` is respected.
    """

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
        self._transport = Transport(address)

    # -- handing over ----------------------------------------------------------------------

    def submit(
        self,
        photo: Photo,
        *,
        idempotency_key: str | None = None,
        once: bool = False,
        **wishes: Unpack[Wishes],
    ) -> Accepted:
        """Hand over one photo: a path, a URL, or bytes. Large ones go straight to the store.

        With ``once`` the same photo with the same wishes gets the same job for 24 hours, whoever
        hands it over again; ``idempotency_key`` is a key of your own for the same purpose. Raises
        `NothingThere` for a file that cannot be read.
        """
        order = Order(wishes, idempotency_key, once)
        return self._run(submitting.submit(self._gateway, photo, order))

    def submit_all(
        self,
        photos: Photo | Iterable[Photo],
        *,
        wait: bool = False,
        progress: bool | Steps = False,
        once: bool = False,
        parallel: int = 8,
        **wishes: Unpack[Wishes],
    ) -> list[Outcome]:
        """Hand over many photos at once: files, folders, globs, URLs; return one outcome each.

        One that is refused fails alone. ``wait`` for their ends; ``progress`` shows bars, in a
        terminal and in a notebook.
        """
        seen = bars(wait=wait) if progress is True else progress or Unseen()
        order = Order(wishes, once=once)
        crowd = Crowd(self._gateway, self._transport, order, seen, parallel, wait=wait)
        return crowd.run(expand(photos))

    # -- reading ---------------------------------------------------------------------------

    def job(self, job_id: str, *, wait_s: float = 0.0) -> Job:
        """Return a job; with ``wait_s`` (60 at most) at its end, or as it is by then.

        Raises `JobNotFound`.
        """
        return self._run(reading.job(self._gateway, job_id, wait_s=wait_s))

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return a job once it is completed or failed. Raises `WaitTimedOut`, `JobNotFound`."""
        return self._run(reading.wait(self._gateway, job_id, timeout_s=timeout_s))

    def jobs(self, **filters: Unpack[Filters]) -> Iterator[Job]:
        """Yield all jobs that the filters let through, the newest first, page by page."""
        cursor: str | None = None
        while True:
            found = self.page(cursor=cursor, **filters)
            yield from found.jobs
            if (cursor := found.cursor) is None:
                return

    def page(
        self,
        *,
        cursor: str | None = None,
        limit: int = reading.PAGE,
        counts: bool = False,
        **filters: Unpack[Filters],
    ) -> Page:
        """Return one page of jobs, with how many there are of each status for ``counts``."""
        return self._run(
            reading.page(self._gateway, filters, cursor=cursor, limit=limit, counts=counts)
        )

    def similar(
        self, job_id: str, *, limit: int = reading.SIMILAR, group: str | None = None
    ) -> list[Similar]:
        """Return the jobs whose photos are most like this job's, the best first: ``limit`` (100 at
        most), of a group if one is named. Raises `JobNotFound`, and `RequestRefused` with the code
        ``no-embedding`` when the photo has nothing to be compared by."""
        return self._run(reading.similar(self._gateway, job_id, limit=limit, group=group))

    def stream(
        self,
        job_id: str | None = None,
        *,
        group: str | None = None,
        last_event_id: str | None = None,
    ) -> Iterator[JobEvent]:
        """Yield every change of a job until its end, beginning with the state it is in.

        Without a job: of a group, or of all jobs, from now on, without end. A line that breaks is
        taken up where it broke.
        """
        following = Following(self._gateway, job_id, group, last_event_id)
        while not following.over:
            try:
                with self._transport.stream(following.request()) as (answer, lines):
                    following.opened(answer)
                    for line in lines:
                        if change := following.heard(line):
                            yield change
                        if following.over:
                            return
                pause = following.ended()
            except (GatewayUnreachable, NotNow) as error:
                pause = following.ended(error)
            if not following.over:
                self._transport.pause(pause)

    def download(self, job_id: str, folder: Path | str) -> list[Path]:
        """Fetch all artifacts of a job into a folder (``neck.jpg``…), and ``job.json``."""
        return self._run(downloading.download(self._gateway, job_id, Path(folder)))

    def info(self) -> Info:
        """Return where the running system is."""
        return self._run(reading.info(self._gateway))

    # -- changing --------------------------------------------------------------------------

    def delete(self, job_id: str) -> None:
        """Delete a job, and its artifacts where no other job has the same content."""
        self._run(reading.delete(self._gateway, job_id))

    def rerun(self, job_id: str, **wishes: Unpack[RunAgain]) -> Rerun:
        """Process a job again, all stages or some; what is known is reused unless forced."""
        return self._run(reading.rerun(self._gateway, job_id, wishes))

    def predict(self, url: str) -> Prediction:
        """Classify a picture on the web, and wait for it."""
        return self._run(reading.predict(self._gateway, url))

    def replay(self, topic: str, **wishes: Unpack[ReplayWishes]) -> Replay:
        """Publish events of a topic again, with their runs raised; it goes on by itself."""
        return self._run(reading.replay(self._gateway, topic, wishes))

    def replay_now(self, replay_id: str) -> Replay:
        """Return how far a replay is."""
        return self._run(reading.replay_now(self._gateway, replay_id))

    # -- itself ----------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, flow: Flow[T]) -> T:
        return self._transport.run(flow)
