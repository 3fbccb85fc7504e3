"""Event streams over HTTP: a real gateway that reads job updates from the broker."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from serving import Serving, embedded_broker, serving

from storage.jobs.store import Deleted, JobUpdate, StageCompleted, Submitted
from streams.broker.producer import EventProducer
from streams.events.models import JobUpdated
from tests.polling import until
from tests.sse import Event, EventReader

WANTED = ("validation", "captioning")


class Tracking:
    """Stores updates and publishes the changed jobs, as tracking does."""

    def __init__(self, gateway: Serving) -> None:
        self._jobs = gateway.jobs
        self._producer = EventProducer(gateway.broker, source="/tests/tracking")

    def change(self, *updates: JobUpdate) -> None:
        asyncio.run(self._change(updates))

    def new_job(self, group: str | None = None) -> str:
        job_id = str(uuid.uuid4())
        now, source = datetime.now(UTC), {"url": "http://a/b"}
        self.change(Submitted(job_id, 1, now, source, WANTED, group=group))
        return job_id

    def complete(self, job_id: str, *stages: str) -> None:
        now = datetime.now(UTC)
        self.change(*(StageCompleted(job_id, 1, now, each, {}, WANTED) for each in stages))

    def delete(self, job_id: str) -> None:
        self.change(Deleted(job_id, 1, datetime.now(UTC)))

    async def _change(self, updates: tuple[JobUpdate, ...]) -> None:
        jobs = await self._jobs.apply(updates)
        await self._producer.publish_all([(JobUpdated.of_job(job), None) for job in jobs])

    def close(self) -> None:
        self._producer.close()


class Stream:
    """One connection: its events."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.reader = EventReader()
        self._lines = answer.iter_lines()
        self._events = self.reader.events(self._lines)

    def next(self) -> Event:
        return next(self._events)

    def first_id(self) -> str:
        """Return the id that the server sends before the first event."""
        while not self.reader.last_id:
            self.reader.read(next(self._lines))
        return self.reader.last_id

    def rest(self) -> list[Event]:
        return list(self._events)

    def until(self, *states: tuple[str, int]) -> list[Event]:
        """Return the events until all these revisions of jobs have come, in any order."""
        found: list[Event] = []
        missing = set(states)
        while missing:
            found.append(next(self._events))
            missing.discard((found[-1].data["job_id"], found[-1].data["revision"]))
        return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        yield running


@pytest.fixture
def http(gateway: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def tracking(gateway: Serving) -> Iterator[Tracking]:
    tracking = Tracking(gateway)
    yield tracking
    tracking.close()


@contextmanager
def listening(http: httpx.Client, path: str, last_id: str = "", **query: str) -> Iterator[Stream]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with http.stream("GET", path, headers=headers, params=query) as answer:
        assert answer.status_code == 200
        yield Stream(answer)


def test_a_job_is_followed_to_its_end(http: httpx.Client, tracking: Tracking) -> None:
    job = tracking.new_job("spring")
    with listening(http, f"/v1/jobs/{job}/events") as stream:
        headers = stream.answer.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-store"
        assert headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in headers
        first = stream.next()
        assert (first.name, first.id) == ("job", "1.1")
        assert first.data["status"] == "pending"
        assert first.data["group"] == "spring"
        tracking.complete(job, "validation")
        assert stream.next().data["stages"] == {"validation": "completed"}
        tracking.complete(job, "captioning")
        [last] = stream.rest()
    assert (last.id, last.data["status"]) == ("1.3", "completed")


def test_a_resumed_stream_ends_with_the_job(http: httpx.Client, tracking: Tracking) -> None:
    job = tracking.new_job()
    path = f"/v1/jobs/{job}/events"
    with listening(http, path) as stream:
        last_id = stream.next().id
    tracking.complete(job, *WANTED)
    with listening(http, path, last_id) as stream:
        [event] = stream.rest()
    assert event.data["status"] == "completed"
    over = http.get(path, headers={"Last-Event-ID": event.id})
    assert (over.status_code, over.content) == (204, b"")
    assert http.get(path, params={"last_event_id": event.id}).status_code == 204
    with listening(http, path, "nonsense") as stream:
        assert stream.rest() == [event]


def test_a_deletion_ends_the_stream(http: httpx.Client, tracking: Tracking) -> None:
    job = tracking.new_job("spring")
    path = f"/v1/jobs/{job}/events"
    with (
        listening(http, path) as of_job,
        listening(http, "/v1/events", group="spring") as of_group,
    ):
        seen = of_job.next()
        tracking.delete(job)
        [last] = of_job.rest()
        assert last.data["status"] == "deleted"
        assert of_group.until((job, 2))[-1].data["status"] == "deleted"
    assert http.get(path).status_code == 404
    with listening(http, path, seen.id) as stream:
        assert stream.rest() == [last]
    assert http.get(path, headers={"Last-Event-ID": last.id}).status_code == 204


@pytest.mark.parametrize("job", ["nonsense", "01a20801-845d-768b-82dd-f448762e99cb"])
def test_a_job_that_is_not_there(http: httpx.Client, job: str) -> None:
    answer = http.get(f"/v1/jobs/{job}/events")
    assert (answer.status_code, answer.json()["code"]) == (404, "job-not-found")


@pytest.mark.parametrize("group", ["x" * 129, "a\nb", "\x00"])
def test_a_group_that_none_can_have(http: httpx.Client, group: str) -> None:
    answer = http.get("/v1/events", params={"group": group})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


def test_a_group_is_followed_from_now_on(http: httpx.Client, tracking: Tracking) -> None:
    before = tracking.new_job("summer")
    with (
        listening(http, "/v1/events", group="summer") as summer,
        listening(http, "/v1/events") as everything,
    ):
        elsewhere, inside = tracking.new_job("autumn"), tracking.new_job("summer")
        tracking.complete(before, "validation")
        told = summer.until((inside, 1), (before, 2))
        assert {event.data["job_id"] for event in told} == {inside, before}
        everything.until((inside, 1), (elsewhere, 1), (before, 2))


def test_a_listener_of_a_group_that_was_cut_misses_nothing(
    http: httpx.Client, tracking: Tracking
) -> None:
    jobs = [tracking.new_job("winter") for _ in range(20)]
    with listening(http, "/v1/events", group="winter") as stream:
        last_id = stream.first_id()
    early, late = jobs[:10], jobs[10:]
    for job in early:
        tracking.complete(job, *WANTED)
    with listening(http, "/v1/events", last_id, group="winter") as stream:
        stream.until(*((job, 3) for job in early))
        last_id = stream.reader.last_id
    for job in late:
        tracking.complete(job, *WANTED)
    with listening(http, "/v1/events", last_event_id=last_id, group="winter") as stream:
        stream.until(*((job, 3) for job in late))


def test_disconnected_clients_are_not_counted(http: httpx.Client, tracking: Tracking) -> None:
    def listeners() -> float:
        text = http.get("/metrics").text
        return float(text.partition("\nlookstream_gateway_sse_listeners ")[2].partition("\n")[0])

    until(lambda: listeners() == 0)
    job = tracking.new_job()
    with (
        listening(http, f"/v1/jobs/{job}/events"),
        listening(http, "/v1/events"),
        listening(http, "/v1/events", group="spring"),
    ):
        until(lambda: listeners() == 3)
    until(lambda: listeners() == 0)


def test_streams_end_cleanly_when_the_gateway_stops(tmp_path: Path) -> None:
    with embedded_broker() as broker, ExitStack() as streams:
        http = streams.enter_context(httpx.Client(timeout=20, trust_env=False))
        with serving(tmp_path, broker) as gateway:
            opened = [
                streams.enter_context(listening(http, f"{gateway.url}/v1/events")) for _ in range(3)
            ]
            for stream in opened:
                assert stream.first_id()
        # uvicorn alone would wait for two seconds and then cut the connections.
        assert [stream.rest() for stream in opened] == [[], [], []]
