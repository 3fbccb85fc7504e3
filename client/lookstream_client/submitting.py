"""Submit one photo, or many in parallel. A request that is sent again after an error never makes a
second job, because each submission has an idempotency key."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count
from queue import SimpleQueue
from threading import Event
from typing import Protocol

from lookstream_client.errors import (
    GatewayBusy,
    JobNotFound,
    LookstreamError,
    PhotoNotFound,
    RequestRefused,
)
from lookstream_client.http import Answer, Flow, Gateway, Pause, Request, T, Work, opened, refused
from lookstream_client.models import Accepted, Outcome, accepted
from lookstream_client.options import (
    InlinePhoto,
    Photo,
    StreamedPhoto,
    SubmitOptions,
    form_fields,
    given,
    is_url,
    key_of,
    local,
    name_of,
)
from lookstream_client.reading import LONG_POLL_S, job, wait

JOBS = "/v1/jobs"
KEY = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
INTERRUPTIBLE_POLL_S = 2.0
"""Length in seconds of a long poll on a thread. Nothing can interrupt a long poll, so Ctrl-C takes
up to this time."""
PAUSE_SLICE_S = 0.2
SHARED_FAULTS = frozenset({"unknown-stage", "metadata-too-large", "invalid-request"})
"""Codes of errors in the options. Such an error affects every photo."""


@dataclass(frozen=True)
class SubmitRequest:
    """How photos are processed, and which submissions are repetitions.

    ``key`` is the caller's own idempotency key. Otherwise, with ``once``, the key is derived from
    the photo and the options. Otherwise every call has a new key.
    """

    options: SubmitOptions = field(default_factory=SubmitOptions)
    key: str | None = None
    once: bool = False

    def keys(self, identity: str) -> Iterator[str]:
        """Yield the idempotency keys of a photo. With ``once``, the next key is used if the job of
        a key was deleted or has failed. Otherwise there is only one key."""
        if self.key is not None:
            return iter([self.key])
        if not self.once:
            return iter([f"call-{uuid.uuid4().hex}"])
        made = key_of(identity, self.options)
        return chain([made], (f"{made}-{number}" for number in count(2)))


def submit(gateway: Gateway, photo: Photo, request: SubmitRequest) -> Flow[Accepted]:
    """Submit one photo. Raises `PhotoNotFound`, `RequestRefused`, `GatewayUnreachable`."""
    found: str | InlinePhoto | StreamedPhoto
    if isinstance(photo, str) and is_url(photo):
        found = photo
    else:
        found = yield Work(partial(local, photo))
    for key in request.keys(found if isinstance(found, str) else found.sha256):
        entry = yield from _sent(gateway, found, request, key)
        if entry is not None and (
            not (request.once and entry.replayed) or (yield from _is_usable(gateway, entry))
        ):
            return entry
    raise RequestRefused({"code": "job-deleted", "detail": "this key's job was deleted"})


def _sent(
    gateway: Gateway, photo: str | InlinePhoto | StreamedPhoto, request: SubmitRequest, key: str
) -> Flow[Accepted | None]:
    """Send a photo under a key; return None if the key's upload no longer exists."""
    if isinstance(photo, StreamedPhoto):
        return (yield from _uploaded(gateway, photo, request, key))
    made = _by_url(photo, request) if isinstance(photo, str) else _by_form(photo, request)
    keyed = replace(made, headers={**made.headers, KEY: key})
    return _entry((yield from gateway.ask(keyed)))


def _by_url(url: str, request: SubmitRequest) -> Request:
    return Request("POST", JOBS, json={"url": url, **given(request.options)})


def _by_form(photo: InlinePhoto, request: SubmitRequest) -> Request:
    # The boundary depends on the photo alone, so a repeated request has the same bytes.
    boundary = {"Content-Type": f"multipart/form-data; boundary={photo.sha256[:48]}"}
    fields = form_fields(request.options)
    return Request(
        "POST", JOBS, headers=boundary, fields=fields, file=photo.content, filename=photo.filename
    )


def _uploaded(
    gateway: Gateway, photo: StreamedPhoto, request: SubmitRequest, key: str
) -> Flow[Accepted | None]:
    """Send the bytes to the store, then complete the upload."""
    content = photo.content
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    asked = yield from gateway.ask(
        Request("POST", "/v1/uploads", json={"bytes": size}, headers={KEY: key})
    )
    upload, again = opened(asked), _replayed(asked)
    if again and (known := (yield from _completed(gateway, upload["id"], request, photo))):
        return replace(known, replayed=True)
    yield from gateway.ask(
        Request(upload["method"], upload["url"], headers=upload["headers"], content=photo.content)
    )
    done = yield from _completed(gateway, upload["id"], request, photo)
    if done is None and not again:
        raise RequestRefused({"code": "upload-not-found", "detail": "the store lost the upload"})
    return done


def _completed(
    gateway: Gateway, upload_id: str, request: SubmitRequest, photo: StreamedPhoto
) -> Flow[Accepted | None]:
    """Make a job of an upload; return None if the upload does not exist."""
    body = given({**request.options, "filename": photo.filename})
    try:
        made = Request("POST", f"/v1/uploads/{upload_id}/complete", json=body)
        return _entry((yield from gateway.ask(made)))
    except RequestRefused as problem:
        if problem.code != "upload-not-found":
            raise
        return None


def _is_usable(gateway: Gateway, entry: Accepted) -> Flow[bool]:
    """Tell whether the job of an earlier submission still exists and has not failed."""
    try:
        found = yield from job(gateway, entry.job_id)
    except JobNotFound:
        return False
    return found.status != "failed"


def _entry(answer: Answer) -> Accepted:
    entry = opened(answer)["jobs"][0]
    if problem := entry.get("error"):
        raise refused(problem)
    return accepted(entry, replayed=_replayed(answer))


def _replayed(answer: Answer) -> bool:
    return answer.headers.get(REPLAYED) == "true"


# --- Many photos ------------------------------------------------------------------------------


class Progress(Protocol):
    """Receives the progress of many photos. All calls come from one thread or event loop."""

    def begin(self, total: int) -> None:
        """The client starts to submit ``total`` photos."""

    def submitted(self) -> None:
        """One photo was accepted or refused."""

    def finished(self) -> None:
        """The client has finished with one photo."""

    def end(self) -> None:
        """The client has finished with all photos, or has stopped."""


class _NoSteps:
    def begin(self, total: int) -> None: ...

    def submitted(self) -> None: ...

    def finished(self) -> None: ...

    def end(self) -> None: ...


def progress_of(progress: bool | Progress, *, wait: bool) -> Progress:
    """Return progress bars for True, an object that shows nothing for False, or ``progress``
    itself."""
    if progress is True:
        from lookstream_client.display import bars

        return bars(wait=wait)
    return progress or _NoSteps()


def submitted(gateway: Gateway, photo: Photo, request: SubmitRequest) -> Flow[Outcome]:
    """Submit a photo. An error that affects only this photo is part of the outcome. Raises all
    other errors."""
    try:
        entry = yield from submit(gateway, photo, request)
    except LookstreamError as error:
        if not fails_alone(error):
            raise
        return Outcome(name_of(photo), error=error)
    return Outcome(name_of(photo), accepted=entry)


def waited_for(gateway: Gateway, outcome: Outcome, job_id: str, poll_s: float) -> Flow[Outcome]:
    """Return the outcome of an accepted photo, with its finished job."""
    try:
        found = yield from wait(gateway, job_id, poll_s=poll_s)
    except LookstreamError as error:
        if not fails_alone(error):
            raise
        return replace(outcome, error=error)
    return replace(outcome, job=found)


def fails_alone(error: LookstreamError) -> bool:
    """Tell whether an error affects only one photo."""
    if isinstance(error, PhotoNotFound):
        return True
    if isinstance(error, GatewayBusy):
        return False
    return isinstance(error, RequestRefused) and error.code not in SHARED_FAULTS


class AsyncBatchSubmitter:
    """Submits many photos on an event loop, ``parallel`` at a time.

    Submitting and waiting have separate limits, so all photos are queued even if the first ones
    take long. An error that affects every photo stops the batch.
    """

    def __init__(
        self,
        gateway: Gateway,
        perform: Callable[[Flow[Outcome]], Awaitable[Outcome]],
        request: SubmitRequest,
        steps: Progress,
        parallel: int,
        *,
        wait: bool,
    ) -> None:
        self._gateway, self._perform, self._request = gateway, perform, request
        self._steps, self._waits = steps, wait
        self._sending, self._waiting = asyncio.Semaphore(parallel), asyncio.Semaphore(parallel)

    async def run(self, photos: Sequence[Photo]) -> list[Outcome]:
        """Return one outcome per photo, in order."""
        self._steps.begin(len(photos))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(photo)) for photo in photos]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            self._steps.end()
        return [task.result() for task in tasks]

    async def _one(self, photo: Photo) -> Outcome:
        async with self._sending:
            outcome = await self._perform(submitted(self._gateway, photo, self._request))
        self._steps.submitted()
        if self._waits and outcome.accepted is not None:
            async with self._waiting:
                job_id = outcome.accepted.job_id
                flow = waited_for(self._gateway, outcome, job_id, LONG_POLL_S)
                outcome = await self._perform(flow)
        self._steps.finished()
        return outcome


class _Stopped(LookstreamError):
    """Another photo's error, or Ctrl-C, has stopped the batch."""

    code = "stopped"


Done = SimpleQueue[tuple[int, bool, Future[Outcome]]]


class BatchSubmitter:
    """Submits many photos on threads; see `AsyncBatchSubmitter`. Calls the methods of `Progress` on
    the thread that calls `run`."""

    def __init__(
        self,
        gateway: Gateway,
        perform: Callable[[Flow[Outcome]], Outcome],
        request: SubmitRequest,
        steps: Progress,
        parallel: int,
        *,
        wait: bool,
    ) -> None:
        self._gateway, self._perform, self._request = gateway, perform, request
        self._steps, self._parallel, self._waits = steps, parallel, wait
        self._stopping = Event()

    def run(self, photos: Sequence[Photo]) -> list[Outcome]:
        """Return one outcome per photo, in order."""
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
            flow = submitted(self._gateway, photo, self._request)
            self._start(sending, flow, partial(_note, done, number, False))
        while len(outcomes) < len(photos):
            number, waited, future = done.get()
            outcome = future.result()
            if not waited:
                self._steps.submitted()
                if self._waits and outcome.accepted is not None:
                    job_id = outcome.accepted.job_id
                    flow = waited_for(self._gateway, outcome, job_id, INTERRUPTIBLE_POLL_S)
                    self._start(waiting, flow, partial(_note, done, number, True))
                    continue
            outcomes[number] = outcome
            self._steps.finished()
        return [outcomes[number] for number in range(len(photos))]

    def _start(
        self, threads: Executor, flow: Flow[Outcome], note: Callable[[Future[Outcome]], None]
    ) -> None:
        stoppable = _stoppable(flow, self._stopping)
        threads.submit(self._perform, stoppable).add_done_callback(note)


def _note(done: Done, number: int, waited: bool, future: Future[Outcome]) -> None:
    if not future.cancelled():
        done.put((number, waited, future))


def _stoppable(flow: Flow[T], stopping: Event) -> Flow[T]:
    """Relay a flow; raise `_Stopped` between effects, and during pauses, once ``stopping`` is
    set."""
    try:
        effect = next(flow)
        while True:
            if stopping.is_set():
                raise _Stopped("stopped")
            if isinstance(effect, Pause) and effect.seconds > PAUSE_SLICE_S:
                yield Pause(PAUSE_SLICE_S)
                effect = Pause(effect.seconds - PAUSE_SLICE_S)
                continue
            try:
                result = yield effect
            except Exception as error:  # noqa: BLE001 - the inner flow decides
                effect = flow.throw(error)
            else:
                effect = flow.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        flow.close()
