"""Hand over many photos at once, and wait for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from time import monotonic
from typing import Any

from lookstream.client import FINAL, Client, Job
from lookstream.errors import GatewayUnreachable, LookstreamError, RequestRefused

THREADS = 8
# A long poll cannot be interrupted: this is how long Ctrl-C takes at most.
POLL_S = 2.0
AWAY_S = 30.0


@dataclass(frozen=True)
class Outcome:
    """What became of one photo: its job (or entry, when not waited for), or why there is none."""

    photo: str
    job: Job | None = None
    error: LookstreamError | None = None

    @property
    def failed(self) -> bool:
        return self.job is None or self.job["status"] == "failed"

    def as_json(self) -> dict[str, Any]:
        """Return the job with the photo it was made of, or the problem in its place."""
        if self.job is not None:
            return {"photo": self.photo, **self.job}
        problem = self.error.problem if isinstance(self.error, RequestRefused) else {}
        return {"photo": self.photo, "error": problem or {"detail": str(self.error)}}


@dataclass(frozen=True)
class Order:
    """How photos are to be processed, and whether to wait for it."""

    stages: Sequence[str] = ()
    force: bool = False
    wait: bool = False


class Submission:
    """Photos on their way through a gateway.

    Handing over and waiting have threads of their own, so that all photos are queued however long
    the first ones take. The callbacks tell of each step, on the thread that calls `run`.
    """

    def __init__(
        self,
        client: Client,
        order: Order,
        *,
        submitted: Callable[[], None],
        finished: Callable[[], None],
    ) -> None:
        self._client = client
        self._order = order
        self._submitted = submitted
        self._finished = finished
        self._stopping = Event()

    def run(self, photos: Sequence[Path | str]) -> list[Outcome]:
        """Return one outcome a photo, in order.

        A photo that is refused fails alone. A gateway that does not answer ends it all with
        `GatewayUnreachable`, and an unknown stage with `RequestRefused`.
        """
        with ThreadPoolExecutor(THREADS) as sending, ThreadPoolExecutor(THREADS) as waiting:
            try:
                return self._run(photos, sending, waiting)
            except BaseException:
                self._stopping.set()
                sending.shutdown(wait=False, cancel_futures=True)
                waiting.shutdown(wait=False, cancel_futures=True)
                raise

    def _run(
        self, photos: Sequence[Path | str], sending: Executor, waiting: Executor
    ) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        done: SimpleQueue[tuple[int, bool, Future[Outcome]]] = SimpleQueue()
        for number, photo in enumerate(photos):
            future = sending.submit(self._submit, photo)
            future.add_done_callback(partial(_note, done, number, False))
        while len(outcomes) < len(photos):
            number, waited, future = done.get()
            outcome = future.result()
            if not waited:
                self._submitted()
                if self._order.wait and outcome.job is not None:
                    future = waiting.submit(self._wait, outcome.photo, outcome.job["job_id"])
                    future.add_done_callback(partial(_note, done, number, True))
                    continue
            outcomes[number] = outcome
            self._finished()
        return [outcomes[number] for number in range(len(photos))]

    def _submit(self, photo: Path | str) -> Outcome:
        order = self._order
        try:
            if isinstance(photo, Path):
                entry = self._client.submit_file(photo, stages=order.stages, force=order.force)
            else:
                entry = self._client.submit_url(photo, stages=order.stages, force=order.force)
        except RequestRefused as refusal:
            if refusal.code == "unknown-stage":
                raise
            return Outcome(str(photo), error=refusal)
        return Outcome(str(photo), job=entry)

    def _wait(self, photo: str, job_id: str) -> Outcome:
        """Wait for a job's end; a gateway that is away for a moment is asked again."""
        give_up = monotonic() + AWAY_S
        while not self._stopping.is_set():
            try:
                job = self._client.job(job_id, wait_s=POLL_S)
            except LookstreamError as error:
                if not _may_pass(error):
                    return Outcome(photo, error=error)
                if monotonic() > give_up:
                    raise
                self._stopping.wait(1.0)
                continue
            if job["status"] in FINAL:
                return Outcome(photo, job=job)
            give_up = monotonic() + AWAY_S
        return Outcome(photo, error=LookstreamError("stopped"))


def _may_pass(error: LookstreamError) -> bool:
    if isinstance(error, RequestRefused):
        return error.status == HTTPStatus.SERVICE_UNAVAILABLE
    return isinstance(error, GatewayUnreachable)


def _note(
    done: SimpleQueue[tuple[int, bool, Future[Outcome]]],
    number: int,
    waited: bool,
    future: Future[Outcome],
) -> None:
    if not future.cancelled():
        done.put((number, waited, future))
