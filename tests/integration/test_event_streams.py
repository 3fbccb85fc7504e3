"""Event streams without HTTP: slow listeners, heartbeats, a store that is away."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.types import Message

from agents.tracking.projection import updated_event
from gateway.live.event_stream import EventStream, JobEventId, TimeEventId
from gateway.live.live_jobs import LiveJobs
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import Deleted, Job, JobUpdate, StageCompleted, Submitted
from streams.consumers.feed import MAX_WAITING_JOBS, JobFeed
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
    """What arrives over one connection; it can stop reading, and hang up."""

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


class Desk:
    """A feed and a store, as a gateway has them; `write` does what tracking does."""

    def __init__(self, path: Path) -> None:
        self.feed = JobFeed()
        self.jobs = SqliteJobs(path)
        self.live = LiveJobs(self.feed, self.jobs, reread_s=0.05)

    async def write(self, *updates: JobUpdate) -> list[Job]:
        """Write changes, and tell nobody."""
        return await self.jobs.apply(updates)

    async def change(self, *updates: JobUpdate) -> None:
        """Write changes and tell the listeners."""
        self.feed.deliver([updated_event(job) for job in await self.write(*updates)])

    @asynccontextmanager
    async def listening(
        self, of: str | None = None, *, group: str | None = None, since: object = "", **more: float
    ) -> AsyncIterator[Listener]:
        """Listen for one job, or for a group; hang up at the end."""
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
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path / "store" / "jobs.sqlite")
    yield desk
    assert desk.feed.listeners == 0
    await desk.jobs.close()


async def test_who_is_gone_is_noticed_at_once(desk: Desk) -> None:
    async with desk.listening() as listener:
        listener.gone.set()
        await eventually(lambda: desk.feed.listeners == 0)
    assert not listener.ended  # there was nobody to tell


async def test_a_heartbeat_when_nothing_happens(desk: Desk) -> None:
    [job] = new_jobs(1)
    await desk.write(submitted(job))
    async with (
        desk.listening(heartbeat_s=0.02) as of_all,
        desk.listening(job, heartbeat_s=0.02) as of_job,
    ):
        for listener in (of_all, of_job):
            await eventually(lambda at=listener: at.reader.comments > 2)
        await desk.change(completed(job, "validation"))
        await eventually(lambda: of_all.states == [(job, 2)])
        assert of_job.states == [(job, 1), (job, 2)]


async def test_who_does_not_read_keeps_nobody_waiting_and_hears_the_newest_state(
    desk: Desk,
) -> None:
    [job] = new_jobs(1)
    await desk.write(submitted(job))
    async with desk.listening() as slow, desk.listening() as quick:
        await eventually(lambda: slow.reader.last_id and quick.reader.last_id)
        slow.reads.clear()
        other = new_jobs(1)[0]
        await desk.change(submitted(other))  # this one is stuck on its way
        await eventually(lambda: quick.states == [(other, 1)])
        await desk.change(completed(job, "validation"))
        await desk.change(completed(job, "captioning"))
        await eventually(lambda: (job, 3) in quick.states)
        slow.reads.set()
        await eventually(lambda: slow.states == [(other, 1), (job, 3)])


async def test_who_reads_too_slowly_is_cut_and_resumes(desk: Desk) -> None:
    jobs = new_jobs(MAX_WAITING_JOBS + 50)
    async with desk.listening() as slow:
        await eventually(lambda: slow.reader.last_id)
        slow.reads.clear()
        await desk.change(*(submitted(job) for job in jobs))
        slow.reads.set()
        await eventually(lambda: slow.ended)
        assert len(slow.states) < len(jobs)
    async with desk.listening(since=slow.reader.last_id) as again:
        await eventually(lambda: {*slow.states, *again.states} == {(job, 1) for job in jobs})


async def test_who_takes_nothing_for_long_is_given_up(desk: Desk) -> None:
    async with desk.listening(stalled_s=0.05) as listener:
        listener.reads.clear()
        await desk.change(submitted(new_jobs(1)[0]))
        await eventually(lambda: desk.feed.listeners == 0)
    assert not listener.ended


async def test_a_change_that_the_broker_did_not_tell_is_read(desk: Desk) -> None:
    [job] = new_jobs(1)
    await desk.write(submitted(job))
    async with desk.listening(job) as listener:
        await eventually(lambda: listener.states == [(job, 1)])
        await desk.write(completed(job, "validation"), completed(job, "captioning"))
        await eventually(lambda: listener.ended)
        assert listener.states == [(job, 1), (job, 3)]


async def test_old_news_change_nothing(desk: Desk) -> None:
    [job] = new_jobs(1)
    [early] = await desk.write(submitted(job))
    [late] = await desk.write(completed(job, "validation"))
    async with desk.listening(job, since="1.1") as listener:
        await eventually(lambda: listener.states == [(job, 2)])
        desk.feed.deliver([updated_event(early), updated_event(late)])
        await desk.change(completed(job, "captioning"))
        await eventually(lambda: listener.ended)
        assert listener.states == [(job, 2), (job, 3)]


async def test_a_listener_of_the_present_state_is_told_what_changes_only(desk: Desk) -> None:
    [job] = new_jobs(1)
    await desk.write(submitted(job))
    async with desk.listening(job, since="1.1") as listener:
        await desk.change(completed(job, "validation"), completed(job, "captioning"))
        await eventually(lambda: listener.ended)
        assert listener.states == [(job, 3)]


async def test_a_store_built_anew_counts_from_one_again(desk: Desk) -> None:
    [job] = new_jobs(1)
    await desk.write(submitted(job))
    async with desk.listening(job, since="1.7") as listener:
        await eventually(lambda: listener.states == [(job, 1)])
        await desk.change(completed(job, "validation"), completed(job, "captioning"))
        await eventually(lambda: listener.ended)


async def test_what_was_written_meanwhile_is_told_in_pages(desk: Desk) -> None:
    inside, outside = new_jobs(450), new_jobs(1)
    await desk.write(*(submitted(job, "spring") for job in inside), submitted(outside[0], "autumn"))
    since = TimeEventId(TimeEventId.now().ms - 1)  # before the listener began, by its clock
    async with desk.listening(group="spring", since=since) as listener:
        await eventually(lambda: {job for job, _ in listener.states} == set(inside))
        # Only now does the mark go on: cut before, a listener begins again where it was.
        assert {event.id for event in listener.events} == {str(since)}
        await eventually(lambda: listener.reader.last_id > str(since))
        await desk.change(completed(inside[0], "validation"), submitted(outside[0], "autumn"))
        await eventually(lambda: listener.states[-1] == (inside[0], 2))


async def test_a_deletion_meanwhile_is_told(desk: Desk) -> None:
    [job] = new_jobs(1)
    await desk.write(submitted(job, "spring"))
    since = TimeEventId.now()
    await desk.write(Deleted(job, 1, datetime.now(UTC)))
    async with desk.listening(group="spring", since=since) as listener:
        await eventually(lambda: [event.data["status"] for event in listener.events] == ["deleted"])


async def test_a_gap_is_filled_from_the_store(desk: Desk) -> None:
    [job] = new_jobs(1)
    async with desk.listening() as listener:
        await desk.write(submitted(job))
        desk.feed.mark_gap()
        await eventually(lambda: listener.states == [(job, 1)])


async def test_the_broker_is_heard_while_the_store_is_away(tmp_path: Path) -> None:
    before, after = new_jobs(2)
    since = TimeEventId.now()
    desk = Desk(tmp_path / "away" / "jobs.sqlite")
    await desk.write(submitted(before))
    [late] = await desk.write(submitted(after))
    await desk.jobs.close()
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    (tmp_path / "away").touch()  # no directory: nothing can be opened in it

    desk = Desk(tmp_path / "away" / "jobs.sqlite")
    async with desk.listening(since=since) as listener, desk.listening(after, since="1.0") as one:
        desk.feed.deliver([updated_event(late)])
        await eventually(lambda: listener.states == one.states == [(after, 1)])
        assert listener.reader.last_id == str(since)
        (tmp_path / "away").unlink()
        (tmp_path / "elsewhere").rename(tmp_path / "away")
        await eventually(lambda: (before, 1) in listener.states)
        await eventually(lambda: listener.reader.last_id > str(since))
    await desk.jobs.close()
