"""Many listeners to event streams. Every second listener disconnects once and resumes."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
from lookstream_client.reading import ServerEvent, SseReader

FINAL = frozenset({"completed", "failed", "deleted"})
AWAY_S = 2.0
UPLOADS = 4
GROUP_CUT = 300
"""Events after which a listener of the group disconnects. A job has about two to nine events."""


class Listener:
    """Reads an event stream, and reconnects until it has seen the ends of all its jobs.

    ``listening`` is set at the first line of the stream. ``seen`` has the time of each job's end
    in seconds of `time.monotonic`. The listener disconnects once, after ``cut_after`` events
    (None: never).
    """

    def __init__(self, path: str, group: str | None, cut_after: int | None) -> None:
        self.listening = asyncio.Event()
        self.seen: dict[str, float] = {}
        self.events = 0
        self.resumed = 0
        self._path = path
        self._query = {"group": group} if group else {}
        self._cut_after = cut_after
        self._last_id = ""

    async def follow(self, http: httpx.AsyncClient, complete: Callable[[set[str]], bool]) -> None:
        """Listen until ``complete`` is true for the set of jobs whose ends were seen."""
        while not complete(set(self.seen)):
            await self._connect(http, complete)
            if not complete(set(self.seen)):
                self.resumed += 1
                await asyncio.sleep(AWAY_S)

    async def _connect(self, http: httpx.AsyncClient, complete: Callable[[set[str]], bool]) -> None:
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        reader = SseReader(self._last_id)
        async with http.stream("GET", self._path, headers=headers, params=self._query) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                event = reader.read(line)
                self._last_id = reader.last_event_id
                self.listening.set()
                if event is None:
                    continue
                self._note(event)
                if self._cut() or complete(set(self.seen)):
                    return

    def _note(self, event: ServerEvent) -> None:
        self.events += 1
        job = json.loads(event.data)
        if job["status"] in FINAL:
            self.seen.setdefault(job["job_id"], time.monotonic())

    def _cut(self) -> bool:
        if self._cut_after is None or self.events < self._cut_after:
            return False
        self._cut_after = None
        return True


class Crowd:
    """``of_group`` listeners to a group, and ``of_jobs`` listeners to one job of the group each."""

    def __init__(self, url: str, group: str, *, of_group: int, of_jobs: int) -> None:
        self._url = url
        self._group = group
        self._of_group = [
            Listener("/v1/events", group, _every_second(number, GROUP_CUT))
            for number in range(of_group)
        ]
        self._of_jobs = of_jobs
        self._of_job: dict[Listener, str] = {}
        self._job_ids: set[str] = set()
        self._began = self._ended = 0.0

    async def listen(self, photos: Sequence[bytes], submit: Callable[[bytes], str]) -> None:
        """Listen to the group, submit the photos and listen to the jobs, until all have ended."""
        limits = httpx.Limits(max_connections=None)
        async with (
            httpx.AsyncClient(base_url=self._url, timeout=60, limits=limits) as http,
            asyncio.TaskGroup() as tasks,
        ):
            self._began = time.monotonic()
            for listener in self._of_group:
                tasks.create_task(listener.follow(http, self._all_ended(len(photos))))
            for listener in self._of_group:
                await listener.listening.wait()
            each = -(-self._of_jobs // len(photos))
            await self._submit(photos, submit, lambda job: self._follow(tasks, http, job, each))
        self._ended = time.monotonic()

    def figures(self) -> dict[str, float]:
        """Return the figures of the run.

        ``late`` is the time between the first listener that saw a job's end and each other one.
        Listeners that resumed are left out.
        """
        everyone = [*self._of_group, *self._of_job]
        first = {
            job: min(each.seen[job] for each in everyone if job in each.seen)
            for job in self._job_ids
            if any(job in each.seen for each in everyone)
        }
        late = sorted(
            at - first[job]
            for each in everyone
            if not each.resumed
            for job, at in each.seen.items()
        )
        missed = sum(
            len(({self._of_job[each]} if each in self._of_job else self._job_ids) - set(each.seen))
            for each in everyone
        )
        return {
            "listeners": len(everyone),
            "jobs": len(self._job_ids),
            "resumed": sum(bool(each.resumed) for each in everyone),
            "missed": missed,
            "events": sum(each.events for each in everyone),
            "seconds": round(self._ended - self._began, 1),
            "late_p50_s": round(statistics.median(late), 3),
            "late_p99_s": round(late[len(late) * 99 // 100], 3),
        }

    def _all_ended(self, jobs: int) -> Callable[[set[str]], bool]:
        return lambda ended: len(self._job_ids) == jobs and ended >= self._job_ids

    def _follow(
        self, tasks: asyncio.TaskGroup, http: httpx.AsyncClient, job_id: str, listeners: int
    ) -> None:
        self._job_ids.add(job_id)
        numbers = range(len(self._of_job), self._of_jobs)[:listeners]
        for number in numbers:
            listener = Listener(f"/v1/jobs/{job_id}/events", None, _every_second(number, 1))
            self._of_job[listener] = job_id
            tasks.create_task(listener.follow(http, lambda ended: job_id in ended))

    async def _submit(
        self,
        photos: Sequence[bytes],
        submit: Callable[[bytes], str],
        submitted: Callable[[str], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(UPLOADS) as pool:
            uploads = [loop.run_in_executor(pool, submit, photo) for photo in photos]
            for upload in asyncio.as_completed(uploads):
                submitted(await upload)


def _every_second(number: int, cut_after: int) -> int | None:
    return cut_after if number % 2 == 0 else None
