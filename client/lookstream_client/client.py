"""The client for programs that wait for each answer, and for threads.

Generated from async_client.py by tools/generate_client.py. Do not edit.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from lookstream_client import reading, submitting
from lookstream_client.errors import GatewayBusy, GatewayUnreachable
from lookstream_client.http import (
    ANSWER_WITHIN_S,
    CHUNK,
    Address,
    Answer,
    Effect,
    Flow,
    Gateway,
    Pause,
    Request,
    RetryPolicy,
    Route,
    Work,
    in_thread,
    sleep,
    translated,
)
from lookstream_client.models import (
    Accepted,
    Info,
    Job,
    JobEvent,
    Outcome,
    Page,
    Prediction,
    Replay,
    Rerun,
    Similar,
)
from lookstream_client.options import (
    Filters,
    Photo,
    ReplayOptions,
    RerunOptions,
    SubmitOptions,
    expand,
)
from lookstream_client.reading import EventStream
from lookstream_client.submitting import BatchSubmitter, Progress, SubmitRequest, progress_of

T = TypeVar("T")


class Transport:
    """Connections to a gateway and its store. Performs flows; see `lookstream_client.http.Flow`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._clients: dict[Route, httpx.Client] = {}
        self._lock = threading.Lock()

    def run(self, flow: Flow[T]) -> T:
        """Perform every effect of a flow; return the flow's result."""
        try:
            effect = next(flow)
            while True:
                try:
                    done = self._perform(effect)
                except Exception as error:  # noqa: BLE001 - the flow decides
                    effect = flow.throw(error)
                else:
                    effect = flow.send(done)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()

    @contextmanager
    def stream(self, request: Request) -> Iterator[tuple[Answer, Iterator[str]]]:
        """Yield the head of an answer, and the lines of its body as they arrive."""
        url = self._address.url(request)
        options = self._address.options(request, None)
        with translated(url):
            with self._client(url).stream(request.method, url, **options) as response:
                body = b"" if response.is_success else response.read()
                answer = Answer(url, response.status_code, response.headers, body)
                yield answer, response.iter_lines()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            client.close()

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Request():
                return self._send(effect)
            case Pause():
                return sleep(effect.seconds)
            case Work():
                return in_thread(effect.do)

    def _send(self, request: Request) -> Answer:
        url, content = self._address.url(request), request.content
        body = _chunks(content) if isinstance(content, Path) else content
        options = self._address.options(request, body)
        with translated(url):
            with self._client(url).stream(request.method, url, **options) as response:
                if request.into is not None and response.is_success:
                    _save(response, request.into)
                    found = b""
                else:
                    found = response.read()
        return Answer(url, response.status_code, response.headers, found)

    def _client(self, url: str) -> httpx.Client:
        route = Route.to(url)
        with self._lock:
            if route not in self._clients:
                self._clients[route] = httpx.Client(**route.options())
            return self._clients[route]


class Client:
    """Talks to one gateway. Close it, or use it as a context manager.

    Without ``base_url``, the client uses the environment variable ``LOOKSTREAM_GATEWAY``, or
    http://127.0.0.1:8000. An `AsyncClient` belongs to one event loop; a `Client` is thread-safe.

    Every method raises `GatewayUnreachable` if there is no answer, `GatewayBusy` if the gateway
    stays unavailable, and `RequestRefused` with the problem's code if the gateway refuses.
    Temporary errors are retried for ``retry_policy.total_s`` seconds; ``Retry-After`` is respected.
    ``timeout_s`` limits the wait for an answer. ``patience`` is the old name of ``retry_policy``.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout_s: float = ANSWER_WITHIN_S,
        retry_policy: RetryPolicy | None = None,
        patience: RetryPolicy | None = None,
    ) -> None:
        address = Address.of(base_url, timeout_s)
        self.base_url = address.base_url
        self._gateway = Gateway(retry_policy or patience or RetryPolicy())
        self._transport = Transport(address)

    # -- submitting ------------------------------------------------------------------------

    def submit(
        self,
        photo: Photo,
        *,
        idempotency_key: str | None = None,
        once: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> Accepted:
        """Submit one photo: a path, a URL, or bytes. Large photos go directly to the store.

        With ``once``, the same photo with the same options gets the same job for 24 hours, unless
        that job has failed or was deleted. ``idempotency_key`` is your own key: for 24 hours,
        requests with this key get the same job. Raises `PhotoNotFound` if the file cannot be read.
        """
        request = SubmitRequest(options, idempotency_key, once)
        return self._run(submitting.submit(self._gateway, photo, request))

    def submit_all(
        self,
        photos: Photo | Iterable[Photo],
        *,
        wait: bool = False,
        progress: bool | Progress = False,
        once: bool = False,
        parallel: int = 8,
        **options: Unpack[SubmitOptions],
    ) -> list[Outcome]:
        """Submit files, folders, patterns and URLs in parallel; return one outcome per photo.

        The outcomes are in the order of the photos. A refused photo does not affect the others.
        With ``wait``, the method returns when all jobs have finished. ``once`` is as in `submit`.
        ``progress`` shows progress bars in a terminal or a notebook. Raises errors that affect
        every photo, such as `GatewayUnreachable`.
        """
        found = in_thread(partial(expand, photos))
        batch = BatchSubmitter(
            self._gateway,
            self._transport.run,
            SubmitRequest(options, once=once),
            progress_of(progress, wait=wait),
            parallel,
            wait=wait,
        )
        return batch.run(found)

    # -- reading ---------------------------------------------------------------------------

    def job(self, job_id: str, *, wait_s: float = 0.0) -> Job:
        """Return a job. With ``wait_s``, first wait until the job has finished, at most ``wait_s``
        and at most 60 seconds.

        Raises `JobNotFound`.
        """
        return self._run(reading.job(self._gateway, job_id, wait_s=wait_s))

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return a job once it is completed or failed. Raises `WaitTimedOut`, `JobNotFound`."""
        return self._run(reading.wait(self._gateway, job_id, timeout_s=timeout_s))

    def jobs(self, **filters: Unpack[Filters]) -> Iterator[Job]:
        """Yield all jobs that match the filters, newest first. Reads page by page."""
        cursor: str | None = None
        while True:
            found = self.page(cursor=cursor, **filters)
            for job in found.jobs:
                yield job
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
        """Return one page of jobs; with ``counts``, also the number of jobs by status."""
        return self._run(
            reading.page(self._gateway, filters, cursor=cursor, limit=limit, counts=counts)
        )

    def similar(
        self, job_id: str, *, limit: int = reading.SIMILAR, group: str | None = None
    ) -> list[Similar]:
        """Return the jobs with the most similar photos, best first.

        ``limit`` is at most 100. Raises `JobNotFound`, and `RequestRefused` with the code
        ``no-embedding`` if the photo has no embedding yet.
        """
        return self._run(reading.similar(self._gateway, job_id, limit=limit, group=group))

    def stream(
        self,
        job_id: str | None = None,
        *,
        group: str | None = None,
        last_event_id: str | None = None,
    ) -> Iterator[JobEvent]:
        """Yield every change of a job until it has finished, starting with its current state.

        Without a job, yield the changes of a group or of all jobs from now on, without end. A
        broken connection is resumed at the last event.
        """
        events = EventStream(self._gateway, job_id, group, last_event_id)
        while not events.over:
            try:
                with self._transport.stream(events.request()) as (answer, lines):
                    events.opened(answer)
                    for line in lines:
                        if change := events.line(line):
                            yield change
                        if events.over:
                            return
                pause = events.disconnected()
            except (GatewayUnreachable, GatewayBusy) as error:
                pause = events.disconnected(error)
            if not events.over:
                sleep(pause.seconds)

    def download(self, job_id: str, folder: Path | str, *, untouched: bool = False) -> list[Path]:
        """Download all artifacts of a job into a folder (``neck.jpg``…), and ``job.json``.

        ``original.*`` is a copy of the photo without metadata. With ``untouched``, also download
        the submitted file as ``untouched.*``: its metadata may contain place, time and camera. If
        the job has a file name such as ``dress.jpg``, the two files are ``dress.jpg`` and
        ``dress-untouched.jpg``.
        """
        return self._run(reading.download(self._gateway, job_id, Path(folder), untouched=untouched))

    def info(self) -> Info:
        """Return the addresses of the running system."""
        return self._run(reading.info(self._gateway))

    # -- changing --------------------------------------------------------------------------

    def delete(self, job_id: str) -> None:
        """Delete a job. Its artifacts are deleted unless another job has the same content."""
        self._run(reading.delete(self._gateway, job_id))

    def rerun(self, job_id: str, **options: Unpack[RerunOptions]) -> Rerun:
        """Process a job again: all stages, or some. Known results are reused unless ``force``."""
        return self._run(reading.rerun(self._gateway, job_id, options))

    def predict(self, url: str) -> Prediction:
        """Classify the picture at a URL and wait for the result."""
        return self._run(reading.predict(self._gateway, url))

    def replay(self, topic: str, **options: Unpack[ReplayOptions]) -> Replay:
        """Start to publish the events of a topic again, as new runs of their jobs."""
        return self._run(reading.replay(self._gateway, topic, options))

    def replay_now(self, replay_id: str) -> Replay:
        """Return the status of a replay."""
        return self._run(reading.replay_now(self._gateway, replay_id))

    # -- life ------------------------------------------------------------------------------

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


def _chunks(path: Path) -> Iterator[bytes]:
    file = in_thread(lambda: path.open("rb"))
    try:
        while chunk := in_thread(partial(file.read, CHUNK)):
            yield chunk
    finally:
        file.close()


def _save(response: httpx.Response, target: Path) -> None:
    file = in_thread(lambda: target.open("wb"))
    try:
        for chunk in response.iter_bytes(CHUNK):
            in_thread(partial(file.write, chunk))
    finally:
        file.close()
