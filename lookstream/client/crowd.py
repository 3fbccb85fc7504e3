"""Many photos at once, on threads."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from threading import Event

from lookstream.client.asking import Gateway
from lookstream.client.outcomes import handed_over, waited_for
from lookstream.client.photos import Photo
from lookstream.client.progress import Steps
from lookstream.client.replies import Outcome
from lookstream.client.submitting import Order
from lookstream.client.transport import Transport

POLL_S = 2.0
"""A long poll cannot be interrupted: this is how long Ctrl-C takes at most."""

Done = SimpleQueue[tuple[int, bool, Future[Outcome]]]


class Crowd:
    """Photos on their way through a gateway.

    Handing over and waiting have threads of their own, so that all photos are queued however long
    the first ones take. The steps are told on the thread that calls `run`.
    """

    def __init__(
        self,
        gateway: Gateway,
        transport: Transport,
        order: Order,
        steps: Steps,
        parallel: int,
        *,
        wait: bool,
    ) -> None:
        self._gateway, self._transport = gateway, transport
        self._order, self._steps = order, steps
        self._parallel, self._waits = parallel, wait
        self._stopping = Event()

    def run(self, photos: Sequence[Photo]) -> list[Outcome]:
        """Return one outcome a photo, in order.

        A photo that is refused fails alone. What would meet every photo ends it all: a gateway
        that does not answer, a stage that nobody plays.
        """
        self._steps.begin(len(photos))
        try:
            with (
                ThreadPoolExecutor(self._parallel) as sending,
                ThreadPoolExecutor(self._parallel) as waiting,
            ):
                try:
                    return self._run(photos, sending, waiting)
                except BaseException:
                    self._stopping.set()
                    sending.shutdown(wait=False, cancel_futures=True)
                    waiting.shutdown(wait=False, cancel_futures=True)
                    raise
        finally:
            self._steps.end()

    def _run(self, photos: Sequence[Photo], sending: Executor, waiting: Executor) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        done: Done = SimpleQueue()
        for number, photo in enumerate(photos):
            future = sending.submit(self._submit, photo)
            future.add_done_callback(partial(_note, done, number, False))
        while len(outcomes) < len(photos):
            number, waited, future = done.get()
            outcome = future.result()
            if not waited:
                self._steps.submitted()
                if self._waits and outcome.accepted is not None:
                    future = waiting.submit(self._wait, outcome, outcome.accepted.job_id)
                    future.add_done_callback(partial(_note, done, number, True))
                    continue
            outcomes[number] = outcome
            self._steps.finished()
        return [outcomes[number] for number in range(len(photos))]

    def _submit(self, photo: Photo) -> Outcome:
        flow = handed_over(self._gateway, photo, self._order)
        return self._transport.run(flow, self._stopping)

    def _wait(self, outcome: Outcome, job_id: str) -> Outcome:
        flow = waited_for(self._gateway, outcome, job_id, POLL_S)
        return self._transport.run(flow, self._stopping)


def _note(done: Done, number: int, waited: bool, future: Future[Outcome]) -> None:
    if not future.cancelled():
        done.put((number, waited, future))
