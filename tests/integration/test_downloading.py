"""The download processor with a misbehaving web server, a store in a directory and SQLite."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from agents.downloads.processor import DownloadProcessor
from agents.downloads.slots import NoSlot, Slots
from agents.inputs.fetching import Fetcher, SourceRecord, save_source
from agents.runtime.metrics import StageMetrics
from agents.runtime.retry import RetryPolicy
from storage.artifacts import keys
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.jobs.store import JobStore, StageCompleted, StageError, StageFailure, Submitted
from storage.urls import open_jobs
from streams.broker.records import Record
from streams.events.codec import encode
from streams.events.models import (
    DownloadPostponed,
    Event,
    ImageDownloaded,
    ImageSubmitted,
    Source,
    StageFailed,
)
from streams.stages.graph import StageGraph
from streams.stages.registry import PIPELINE
from tests.integration.misbehaving_server import Misbehaving, serving
from tests.polling import eventually
from tests.publishing import MemoryPublisher

SHA = "ab" * 32
QUICK = RetryPolicy(attempts=3, base_s=0.001, cap_s=0.002)
WITHIN_S = 20.0


class Downloading:
    """The processor under test and its surroundings."""

    def __init__(self, folder: Path) -> None:
        self.artifacts = DirectoryArtifacts(
            folder / "artifacts", LinkSigner(b"0123456789abcdef", "")
        )
        self.jobs: JobStore = open_jobs(f"sqlite://{folder / 'jobs.sqlite'}")
        self.published = MemoryPublisher()
        self.metrics = StageMetrics()
        self.deleted: set[str] = set()

    def processor(self, *, timeout_s: float = 10.0, **options: Any) -> DownloadProcessor:
        networks = [ip_network("127.0.0.0/8")]
        return DownloadProcessor(
            Fetcher(allowed_networks=networks, max_bytes=1_000_000, timeout_s=timeout_s),
            graph=StageGraph(PIPELINE),
            jobs=self.jobs,
            artifacts=self.artifacts,
            publisher=self.published,
            metrics=self.metrics,
            deleted=self.deleted,
            policy=QUICK,
            **{"busy": QUICK, "retry_s": 60.0, **options},
        )

    async def process(self, *events: Event, **options: Any) -> list[Event]:
        """Process the events side by side; return what was published."""
        before = len(self.published.events)
        async with asyncio.timeout(WITHIN_S):
            await self.processor(**options).process([record(event) for event in events])
        return self.published.events[before:]


@pytest.fixture
def downloading(tmp_path: Path) -> Downloading:
    return Downloading(tmp_path)


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with serving() as server:
        yield server


def linked(url: str, **more: Any) -> ImageSubmitted:
    return ImageSubmitted(**{"job_id": str(uuid.uuid4()), "source": Source(url=url), **more})


def record(event: Event, offset: int = 0) -> Record:
    made = encode(event, source="/tests")
    return Record(made.topic, 0, offset, made.key, made.value, made.headers)


def the_failure(events: list[Event]) -> StageFailed:
    (event,) = events
    assert isinstance(event, StageFailed), event
    return event


@asynccontextmanager
async def running(processor: DownloadProcessor, *events: Event) -> AsyncIterator[None]:
    """Process the events in the background, each alone; cancel what is left at the end."""
    tasks = [asyncio.create_task(processor.process([record(event)])) for event in events]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_url_is_downloaded_into_quarantine(
    downloading: Downloading, server: Misbehaving
) -> None:
    event = linked(server.url("/picture"), run=3, lane="bulk", stages=("pose",), force=True)
    assert await downloading.process(event) == [
        ImageDownloaded(
            job_id=event.job_id,
            run=3,
            lane="bulk",
            source=event.source,
            stages=("pose",),
            force=True,
            etag='"one"',
            last_modified="Mon, 01 Jan 2024 00:00:00 GMT",
        )
    ]
    assert downloading.artifacts.get(keys.incoming(event.job_id)) == b"a picture"


async def test_only_submissions_of_urls_are_downloaded(
    downloading: Downloading, server: Misbehaving
) -> None:
    """Validation answers for uploads, for unknown stages and for what is no event."""
    upload = ImageSubmitted(job_id=str(uuid.uuid4()), source=Source(object="uploads/a"))
    unknown = linked(server.url("/picture"), stages=("ironing",))
    gone = linked(server.url("/picture"))
    downloading.deleted.add(gone.job_id)
    assert await downloading.process(upload, unknown, gone) == []
    junk = Record("image-submitted", 0, 0, None, b"{", ())
    await downloading.processor().process([junk])
    assert (server.seen, downloading.published.letters) == ([], [])


async def test_a_failure_is_a_failure_of_validation(
    downloading: Downloading, server: Misbehaving
) -> None:
    failure = the_failure(await downloading.process(linked(server.url("/status/404"))))
    assert (failure.stage, failure.kind, failure.code) == (
        "validation", "rejected", "url-not-found",
    )  # fmt: skip
    assert "validation" in failure.stages
    assert "404" in failure.message


async def test_servers_that_never_answer_do_not_delay_another_server(
    downloading: Downloading, server: Misbehaving
) -> None:
    with serving("127.0.0.3") as silent:
        hanging = [linked(silent.url(f"/hangs/{number}")) for number in range(64)]
        processor = downloading.processor(slots=Slots(16))
        good = linked(server.url("/picture"))
        async with running(processor, *hanging, good):
            await eventually(lambda: downloading.published.events)
            assert [event.job_id for event in downloading.published.events] == [good.job_id]
            assert len(silent.seen) <= 8


async def test_a_sender_leaves_slots_for_others(
    downloading: Downloading, server: Misbehaving
) -> None:
    with serving("127.0.0.3") as one, serving("127.0.0.4") as two:
        hanging = [
            linked(silent.url(f"/hangs/{number}"), owner="greedy")
            for silent in (one, two)
            for number in range(8)
        ]
        processor = downloading.processor(slots=Slots(8, per_host=8))
        good = linked(server.url("/picture"), owner="modest")
        async with running(processor, *hanging, good):
            await eventually(lambda: downloading.published.events)
            assert [event.job_id for event in downloading.published.events] == [good.job_id]


async def test_a_host_that_timed_out_gets_one_connection_at_a_time(server: Misbehaving) -> None:
    slots = Slots(8)
    slots.answered("silent.example", False)
    async with slots.slot("silent.example", "", 0.01):
        with pytest.raises(NoSlot):
            async with slots.slot("silent.example", "", 0.01):
                pass
        async with slots.slot("other.example", "", 0.01):
            assert slots.taken == 2
    slots.answered("silent.example", True)
    async with slots.slot("silent.example", "", 1), slots.slot("silent.example", "", 1):
        pass
    assert slots.taken == 0


async def test_a_free_slot_goes_to_the_first_that_may_have_it() -> None:
    slots, order = Slots(2, per_host=1, per_sender=2), []

    async def hold(name: str, host: str, done: asyncio.Event) -> None:
        async with slots.slot(host, "", WITHIN_S):
            order.append(name)
            await done.wait()

    ends = [asyncio.Event() for _ in range(5)]
    names = [("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a"), ("c1", "c")]
    tasks = []
    for (name, host), done in zip(names, ends, strict=True):
        tasks.append(asyncio.create_task(hold(name, host, done)))
        await asyncio.sleep(0)
    ends[1].set()
    await eventually(lambda: order == ["a1", "b1", "c1"])
    tasks[2].cancel()
    ends[0].set()
    await eventually(lambda: order == ["a1", "b1", "c1", "a3"])
    assert slots.taken == 2
    for done in ends:
        done.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert slots.taken == 0


async def test_a_busy_server_is_tried_again(downloading: Downloading, server: Misbehaving) -> None:
    """The server answers 429 with Retry-After, then the picture."""
    (event,) = await downloading.process(linked(server.url("/busy")))
    assert isinstance(event, ImageDownloaded)
    assert len(server.seen) == 2


@pytest.mark.parametrize(("status", "code"), [(429, "url-refused"), (503, "url-unreachable")])
async def test_a_server_that_stays_busy_is_a_failure_with_its_status(
    downloading: Downloading, server: Misbehaving, status: int, code: str
) -> None:
    url = server.url(f"/status/{status}")
    failure = the_failure(await downloading.process(linked(url), retry_s=0.05))
    assert (failure.code, failure.kind) == (code, "rejected")
    assert f"HTTP {status}" in failure.message
    assert failure.attempts == len(server.seen) + 1 > 2


async def test_waiting_for_a_busy_server_takes_no_slot(
    downloading: Downloading, server: Misbehaving
) -> None:
    server.extra = {"Retry-After": "3600"}
    busy = [linked(server.url(f"/status/503?{number}")) for number in range(8)]
    slots = Slots(1)
    async with running(downloading.processor(slots=slots), *busy):
        await eventually(lambda: len(server.seen) == len(busy))
        await eventually(lambda: slots.taken == 0)
        assert downloading.published.events == []


async def test_a_crowd_makes_room_and_continues_later(
    downloading: Downloading, server: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting records move to `download-postponed`, so that the records behind them are read."""
    monkeypatch.setattr("agents.downloads.processor.CROWDED", 2)
    monkeypatch.setattr("agents.downloads.processor.LOOK_S", 0.05)
    with serving("127.0.0.3") as silent:
        hanging = [linked(silent.url(f"/hangs/{number}")) for number in range(12)]
        async with running(downloading.processor(slots=Slots(4)), *hanging):
            await eventually(lambda: len(downloading.published.events) >= 8)
    postponed = downloading.published.events
    assert {type(event) for event in postponed} == {DownloadPostponed}
    event = postponed[0]
    assert isinstance(event, DownloadPostponed)
    assert (event.tries, event.busy_since) == (0, None)
    due = event.model_copy(
        update={"source": Source(url=server.url("/picture")), "due": datetime.now(UTC)}
    )
    (found,) = await downloading.process(due)
    assert isinstance(found, ImageDownloaded)
    assert found.job_id == event.job_id


async def test_a_postponed_download_keeps_its_time_limit(
    downloading: Downloading, server: Misbehaving
) -> None:
    now = datetime.now(UTC)
    waited = DownloadPostponed(
        job_id=str(uuid.uuid4()),
        source=Source(url=server.url("/status/503")),
        due=now - timedelta(seconds=1),
        tries=7,
        busy_since=now - timedelta(minutes=5),
    )
    failure = the_failure(await downloading.process(waited))
    assert failure.attempts == 9
    assert "8 tries in 30" in failure.message


async def test_an_undecodable_postponement_is_a_dead_letter(downloading: Downloading) -> None:
    await downloading.processor().process([Record("download-postponed", 0, 0, None, b"{", ())])
    assert len(downloading.published.letters) == 1


async def test_a_known_url_is_fetched_if_it_changed(
    downloading: Downloading, server: Misbehaving
) -> None:
    event = linked(server.url("/picture"))
    save_source(event.source, SourceRecord(sha256=SHA, etag='"one"'), downloading.artifacts)
    (found,) = await downloading.process(event)
    assert isinstance(found, ImageDownloaded)
    assert found.sha256 is None, "the content is gone"
    downloading.artifacts.put(keys.original(SHA), b"a picture")
    again = linked(server.url("/picture"))
    (found,) = await downloading.process(again)
    assert isinstance(found, ImageDownloaded)
    assert found.sha256 == SHA
    assert downloading.artifacts.exists(keys.claim(SHA, again.job_id))
    assert not downloading.artifacts.exists(keys.incoming(again.job_id))
    (forced,) = await downloading.process(linked(server.url("/picture"), force=True))
    assert isinstance(forced, ImageDownloaded)
    assert forced.sha256 is None


async def test_a_submission_that_is_delivered_twice_is_downloaded_once(
    downloading: Downloading, server: Misbehaving
) -> None:
    event = linked(server.url("/picture"))
    assert len(await downloading.process(event, event)) == 1
    assert len(server.seen) == 1


async def test_an_old_submission_of_an_ended_job_is_not_downloaded(
    downloading: Downloading, server: Misbehaving
) -> None:
    """A new consumer group reads the topic from its start."""
    later = datetime.now(UTC) + timedelta(seconds=60)
    done, failed, ahead = (linked(server.url("/picture")) for _ in range(3))
    wanted = ("validation",)
    source = {"url": server.url("/picture")}
    error = StageError("validation", "rejected", "url-refused", "No.")
    await downloading.jobs.apply(
        [
            *(Submitted(each.job_id, 1, later, source, wanted) for each in (done, failed)),
            Submitted(ahead.job_id, 2, later, source, wanted),
            StageCompleted(done.job_id, 1, later, "validation", {"sha256": SHA}, wanted),
            StageFailure(failed.job_id, 1, later, error, wanted),
        ]
    )
    assert await downloading.process(done, failed, ahead) == []
    assert server.seen == []


async def test_a_job_that_lost_its_later_events_is_not_downloaded_again(
    downloading: Downloading, server: Misbehaving
) -> None:
    event, now = linked(server.url("/picture")), datetime.now(UTC)
    wanted = ("validation", "pose")
    await downloading.jobs.apply(
        [
            Submitted(event.job_id, 1, now, {"url": server.url("/picture")}, wanted),
            StageCompleted(event.job_id, 1, now, "validation", {"sha256": SHA}, wanted),
        ]
    )
    downloading.artifacts.put(keys.original(SHA), b"a picture")
    (found,) = await downloading.process(event)
    assert isinstance(found, ImageDownloaded)
    assert found.sha256 == SHA
    assert server.seen == []


async def test_a_download_of_a_deleted_job_is_erased(
    downloading: Downloading, server: Misbehaving
) -> None:
    """The job is deleted while the server sends the photo."""
    event = linked(server.url("/picture"))
    processor = downloading.processor()

    class Deleting(MemoryPublisher):
        async def publish_all(self, events: Any) -> None:
            downloading.deleted.add(event.job_id)

    processor._failures._publisher = Deleting()
    await processor.process([record(event)])
    assert not downloading.artifacts.exists(keys.incoming(event.job_id))


async def test_an_unavailable_broker_is_waited_for(
    downloading: Downloading, server: Misbehaving
) -> None:
    downloading.published.failures = 3
    (event,) = await downloading.process(linked(server.url("/picture")))
    assert isinstance(event, ImageDownloaded)
    assert len(server.seen) == 1
