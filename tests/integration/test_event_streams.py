"""SSE streams without HTTP: slow clients, heartbeats, backfill, an unavailable store."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.types import Message

from gateway.live.event_stream import EventStream, JobEventId, TimeEventId
from gateway.live.live_jobs import LiveJobs
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import Deleted, Job, JobUpdate, StageCompleted, Submitted
from streams.consumers.feed import MAX_WAITING_JOBS, JobFeed
from streams.events.models import JobUpdated
from tests.polling import eventually
from tests.sse import Event, EventReader

WANTED = ("validation", "captioning")


def submitted(job_id: str, group: str | None = None) -> Submitted:
    return Submitted(job_id, 1, datetime.now(UTC), {"url": "http://a/b"}, WANTED, group=group)


def completed(job_id: str, stage: str) -> StageCompleted:
    return StageCompleted(job_id, 1, datetime.now(UTC), stage, {}, WANTED)


def new_jobs(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


class Listener:
    """A client of one stream. The client can stop reading, and disconnect."""

    def __init__(self, stream: EventStream) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.gone = asyncio.Event()
        self.reader = EventReader()
        self.events: list[Event] = []
        self.ended = False
        self.task = asyncio.create_task(stream({"type": "http"}, self._receive, self._send))

    async def _receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        self.events += self.reader.events(message.get("body", b"").decode().splitlines())
        self.ended = message["type"] == "http.response.body" and not message.get("more_body")

    @property
    def states(self) -> list[tuple[str, int]]:
        return [(event.data["job_id"], event.data["revision"]) for event in self.events]


class Gateway:
    """The job feed and the job store of a gateway."""

    def __init__(self, path: Path) -> None:
        self.feed = JobFeed()
        self.jobs = SqliteJobs(path)
        self.live = LiveJobs(self.feed, self.jobs, reread_s=0.05)

    async def write(self, *updates: JobUpdate) -> list[Job]:
        """Write changes to the store without delivering job updates. Return the changed jobs."""
        return await self.jobs.apply(updates)

    async def change(self, *updates: JobUpdate) -> None:
        """Write changes to the store and deliver the job updates."""
        self.feed.deliver([JobUpdated.of_job(job) for job in await self.write(*updates)])

    @asynccontextmanager
    async def listening(
        self, of: str | None = None, *, group: str | None = None, since: object = "", **more: float
    ) -> AsyncIterator[Listener]:
        """Follow one job or a group; disconnect at the end."""
        frames = (
            self.live.follow_job(of, JobEventId.parse(str(since)))
            if of
            else self.live.follow_group(group, TimeEventId.parse(str(since)))
        )
        before = self.feed.listeners
        listener = Listener(EventStream(frames, **more))
        await eventually(lambda: self.feed.listeners > before or listener.ended)
        try:
            yield listener
        finally:
            listener.gone.set()
            await asyncio.wait_for(listener.task, 10)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path / "store" / "jobs.sqlite")
    yield gateway
    assert gateway.feed.listeners == 0
    await gateway.jobs.close()


async def test_a_disconnect_ends_the_subscription(gateway: Gateway) -> None:
    async with gateway.listening() as listener:
        listener.gone.set()
        await eventually(lambda: gateway.feed.listeners == 0)
    assert not listener.ended  # no final message: the client is gone


async def test_heartbeats_are_sent_between_events(gateway: Gateway) -> None:
    [job] = new_jobs(1)
    await gateway.write(submitted(job))
    async with (
        gateway.listening(heartbeat_s=0.02) as of_all,
        gateway.listening(job, heartbeat_s=0.02) as of_job,
    ):
        for listener in (of_all, of_job):
            await eventually(lambda at=listener: at.reader.comments > 2)
        await gateway.change(completed(job, "validation"))
        await eventually(lambda: of_all.states == [(job, 2)])
        assert of_job.states == [(job, 1), (job, 2)]


async def test_a_slow_client_delays_no_other_and_gets_the_newest_state(
    gateway: Gateway,
) -> None:
    [job] = new_jobs(1)
    await gateway.write(submitted(job))
    async with gateway.listening() as slow, gateway.listening() as quick:
        await eventually(lambda: slow.reader.last_id and quick.reader.last_id)
        slow.reads.clear()
        other = new_jobs(1)[0]
        await gateway.change(submitted(other))  # the slow client does not read this event
        await eventually(lambda: quick.states == [(other, 1)])
        await gateway.change(completed(job, "validation"))
        await gateway.change(completed(job, "captioning"))
        await eventually(lambda: (job, 3) in quick.states)
        slow.reads.set()
        await eventually(lambda: slow.states == [(other, 1), (job, 3)])


async def test_a_client_with_too_many_pending_jobs_is_disconnected_and_resumes(
    gateway: Gateway,
) -> None:
    jobs = new_jobs(MAX_WAITING_JOBS + 50)
    async with gateway.listening() as slow:
        await eventually(lambda: slow.reader.last_id)
        slow.reads.clear()
        await gateway.change(*(submitted(job) for job in jobs))
        slow.reads.set()
        await eventually(lambda: slow.ended)
        assert len(slow.states) < len(jobs)
    async with gateway.listening(since=slow.reader.last_id) as again:
        await eventually(lambda: {*slow.states, *again.states} == {(job, 1) for job in jobs})


async def test_a_stalled_client_is_disconnected(gateway: Gateway) -> None:
    async with gateway.listening(stalled_s=0.05) as listener:
        listener.reads.clear()
        await gateway.change(submitted(new_jobs(1)[0]))
        await eventually(lambda: gateway.feed.listeners == 0)
    assert not listener.ended


async def test_a_change_without_a_job_update_is_read_from_the_store(gateway: Gateway) -> None:
    [job] = new_jobs(1)
    await gateway.write(submitted(job))
    async with gateway.listening(job) as listener:
        await eventually(lambda: listener.states == [(job, 1)])
        await gateway.write(completed(job, "validation"), completed(job, "captioning"))
        await eventually(lambda: listener.ended)
        assert listener.states == [(job, 1), (job, 3)]


async def test_older_updates_are_ignored(gateway: Gateway) -> None:
    [job] = new_jobs(1)
    [early] = await gateway.write(submitted(job))
    [late] = await gateway.write(completed(job, "validation"))
    async with gateway.listening(job, since="1.1") as listener:
        await eventually(lambda: listener.states == [(job, 2)])
        gateway.feed.deliver([JobUpdated.of_job(early), JobUpdated.of_job(late)])
        await gateway.change(completed(job, "captioning"))
        await eventually(lambda: listener.ended)
        assert listener.states == [(job, 2), (job, 3)]


async def test_a_client_with_the_current_state_gets_only_later_changes(gateway: Gateway) -> None:
    [job] = new_jobs(1)
    await gateway.write(submitted(job))
    async with gateway.listening(job, since="1.1") as listener:
        await gateway.change(completed(job, "validation"), completed(job, "captioning"))
        await eventually(lambda: listener.ended)
        assert listener.states == [(job, 3)]


async def test_after_a_rebuild_of_the_store_lower_revisions_are_sent(gateway: Gateway) -> None:
    [job] = new_jobs(1)
    await gateway.write(submitted(job))
    async with gateway.listening(job, since="1.7") as listener:
        await eventually(lambda: listener.states == [(job, 1)])
        await gateway.change(completed(job, "validation"), completed(job, "captioning"))
        await eventually(lambda: listener.ended)


async def test_the_backfill_reads_all_pages(gateway: Gateway) -> None:
    inside, outside = new_jobs(450), new_jobs(1)
    await gateway.write(
        *(submitted(job, "spring") for job in inside), submitted(outside[0], "autumn")
    )
    since = TimeEventId(TimeEventId.now().ms - 1)  # just before the client connects
    async with gateway.listening(group="spring", since=since) as listener:
        await eventually(lambda: {job for job, _ in listener.states} == set(inside))
        # The event id changes only after the backfill, so a client that is cut off repeats it.
        assert {event.id for event in listener.events} == {str(since)}
        await eventually(lambda: listener.reader.last_id > str(since))
        await gateway.change(completed(inside[0], "validation"), submitted(outside[0], "autumn"))
        await eventually(lambda: listener.states[-1] == (inside[0], 2))


async def test_the_backfill_includes_deletions(gateway: Gateway) -> None:
    [job] = new_jobs(1)
    await gateway.write(submitted(job, "spring"))
    since = TimeEventId.now()
    await gateway.write(Deleted(job, 1, datetime.now(UTC)))
    async with gateway.listening(group="spring", since=since) as listener:
        await eventually(lambda: [event.data["status"] for event in listener.events] == ["deleted"])


async def test_a_gap_in_the_job_updates_starts_a_backfill(gateway: Gateway) -> None:
    [job] = new_jobs(1)
    async with gateway.listening() as listener:
        await gateway.write(submitted(job))
        gateway.feed.mark_gap()
        await eventually(lambda: listener.states == [(job, 1)])


async def test_job_updates_are_sent_while_the_store_is_unavailable(tmp_path: Path) -> None:
    before, after = new_jobs(2)
    since = TimeEventId.now()
    gateway = Gateway(tmp_path / "away" / "jobs.sqlite")
    await gateway.write(submitted(before))
    [late] = await gateway.write(submitted(after))
    await gateway.jobs.close()
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    (tmp_path / "away").touch()  # a file in place of the directory: the store cannot open

    gateway = Gateway(tmp_path / "away" / "jobs.sqlite")
    async with (
        gateway.listening(since=since) as listener,
        gateway.listening(after, since="1.0") as one,
    ):
        gateway.feed.deliver([JobUpdated.of_job(late)])
        await eventually(lambda: listener.states == one.states == [(after, 1)])
        assert listener.reader.last_id == str(since)
        (tmp_path / "away").unlink()
        (tmp_path / "elsewhere").rename(tmp_path / "away")
        await eventually(lambda: (before, 1) in listener.states)
        await eventually(lambda: listener.reader.last_id > str(since))
    await gateway.jobs.close()
