"""The client for programs on an event loop. `lookstream_client.client` is generated from this
file."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
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
    async_in_thread,
    async_sleep,
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
from lookstream_client.submitting import AsyncBatchSubmitter, Progress, SubmitRequest, progress_of

T = TypeVar("T")


class AsyncTransport:
    """Connections to a gateway and its store. Performs flows; see `lookstream_client.http.Flow`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._clients: dict[Route, httpx.AsyncClient] = {}
        self._lock = threading.Lock()

    async def run(self, flow: Flow[T]) -> T:
        """Perform every effect of a flow; return the flow's result."""
        try:
            effect = next(flow)
            while True:
                try:
                    done = await self._perform(effect)
                except Exception as error:  # noqa: BLE001 - the flow decides
                    effect = flow.throw(error)
                else:
                    effect = flow.send(done)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[tuple[Answer, AsyncIterator[str]]]:
        """Yield the head of an answer, and the lines of its body as they arrive."""
        url = self._address.url(request)
        options = self._address.options(request, None)
        with translated(url):
            async with self._client(url).stream(request.method, url, **options) as response:
                body = b"" if response.is_success else await response.aread()
                answer = Answer(url, response.status_code, response.headers, body)
                yield answer, response.aiter_lines()

    async def close(self) -> None:
        """Close all connections."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            await client.aclose()

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Request():
                return await self._send(effect)
            case Pause():
                return await async_sleep(effect.seconds)
            case Work():
                return await async_in_thread(effect.do)

    async def _send(self, request: Request) -> Answer:
        url, content = self._address.url(request), request.content
        body = _chunks(content) if isinstance(content, Path) else content
        options = self._address.options(request, body)
        with translated(url):
            async with self._client(url).stream(request.method, url, **options) as response:
                if request.into is not None and response.is_success:
                    await _save(response, request.into)
                    found = b""
                else:
                    found = await response.aread()
        return Answer(url, response.status_code, response.headers, found)

    def _client(self, url: str) -> httpx.AsyncClient:
        route = Route.to(url)
        with self._lock:
            if route not in self._clients:
                self._clients[route] = httpx.AsyncClient(**route.options())
            return self._clients[route]


class AsyncClient:
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
        self._transport = AsyncTransport(address)

    # -- submitting ------------------------------------------------------------------------

    async def submit(
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
        return await self._run(submitting.submit(self._gateway, photo, request))

    async def submit_all(
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
        found = await async_in_thread(partial(expand, photos))
        batch = AsyncBatchSubmitter(
            self._gateway,
            self._transport.run,
            SubmitRequest(options, once=once),
            progress_of(progress, wait=wait),
            parallel,
            wait=wait,
        )
        return await batch.run(found)

    # -- reading ---------------------------------------------------------------------------

    async def job(self, job_id: str, *, wait_s: float = 0.0) -> Job:
        """Return a job. With ``wait_s``, first wait until the job has finished, at most ``wait_s``
        and at most 60 seconds.

        Raises `JobNotFound`.
        """
        return await self._run(reading.job(self._gateway, job_id, wait_s=wait_s))

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return a job once it is completed or failed. Raises `WaitTimedOut`, `JobNotFound`."""
        return await self._run(reading.wait(self._gateway, job_id, timeout_s=timeout_s))

    async def jobs(self, **filters: Unpack[Filters]) -> AsyncIterator[Job]:
        """Yield all jobs that match the filters, newest first. Reads page by page."""
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
        """Return one page of jobs; with ``counts``, also the number of jobs by status."""
        return await self._run(
            reading.page(self._gateway, filters, cursor=cursor, limit=limit, counts=counts)
        )

    async def similar(
        self, job_id: str, *, limit: int = reading.SIMILAR, group: str | None = None
    ) -> list[Similar]:
        """Return the jobs with the most similar photos, best first.

        ``limit`` is at most 100. Raises `JobNotFound`, and `RequestRefused` with the code
        ``no-embedding`` if the photo has no embedding yet.
        """
        return await self._run(reading.similar(self._gateway, job_id, limit=limit, group=group))

    async def stream(
        self,
        job_id: str | None = None,
        *,
        group: str | None = None,
        last_event_id: str | None = None,
    ) -> AsyncIterator[JobEvent]:
        """Yield every change of a job until it has finished, starting with its current state.

        Without a job, yield the changes of a group or of all jobs from now on, without end. A
        broken connection is resumed at the last event.
        """
        events = EventStream(self._gateway, job_id, group, last_event_id)
        while not events.over:
            try:
                async with self._transport.stream(events.request()) as (answer, lines):
                    events.opened(answer)
                    async for line in lines:
                        if change := events.line(line):
                            yield change
                        if events.over:
                            return
                pause = events.disconnected()
            except (GatewayUnreachable, GatewayBusy) as error:
                pause = events.disconnected(error)
            if not events.over:
                await async_sleep(pause.seconds)

    async def download(
        self, job_id: str, folder: Path | str, *, untouched: bool = False
    ) -> list[Path]:
        """Download all artifacts of a job into a folder (``neck.jpg``…), and ``job.json``.

        ``original.*`` is a copy of the photo without metadata. With ``untouched``, also download
        the submitted file as ``untouched.*``: its metadata may contain place, time and camera. If
        the job has a file name such as ``dress.jpg``, the two files are ``dress.jpg`` and
        ``dress-untouched.jpg``.
        """
        return await self._run(
            reading.download(self._gateway, job_id, Path(folder), untouched=untouched)
        )

    async def info(self) -> Info:
        """Return the addresses of the running system."""
        return await self._run(reading.info(self._gateway))

    # -- changing --------------------------------------------------------------------------

    async def delete(self, job_id: str) -> None:
        """Delete a job. Its artifacts are deleted unless another job has the same content."""
        await self._run(reading.delete(self._gateway, job_id))

    async def rerun(self, job_id: str, **options: Unpack[RerunOptions]) -> Rerun:
        """Process a job again: all stages, or some. Known results are reused unless ``force``."""
        return await self._run(reading.rerun(self._gateway, job_id, options))

    async def predict(self, url: str) -> Prediction:
        """Classify the picture at a URL and wait for the result."""
        return await self._run(reading.predict(self._gateway, url))

    async def replay(self, topic: str, **options: Unpack[ReplayOptions]) -> Replay:
        """Start to publish the events of a topic again, as new runs of their jobs."""
        return await self._run(reading.replay(self._gateway, topic, options))

    async def replay_now(self, replay_id: str) -> Replay:
        """Return the status of a replay."""
        return await self._run(reading.replay_now(self._gateway, replay_id))

    # -- life ------------------------------------------------------------------------------

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


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    file = await async_in_thread(lambda: path.open("rb"))
    try:
        while chunk := await async_in_thread(partial(file.read, CHUNK)):
            yield chunk
    finally:
        file.close()


async def _save(response: httpx.Response, target: Path) -> None:
    file = await async_in_thread(lambda: target.open("wb"))
    try:
        async for chunk in response.aiter_bytes(CHUNK):
            await async_in_thread(partial(file.write, chunk))
    finally:
        file.close()
