"""SSE clients: one job to its end, and a group in spite of lost connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.acceptance.photos import photo, photos
from tests.acceptance.system import System
from tests.sse import Event, EventReader


@contextmanager
def listening(system: System, path: str, last_id: str = "", **query: str) -> Iterator[EventStream]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with system.http() as http, http.stream("GET", path, headers=headers, params=query) as answer:
        assert answer.status_code == 200
        yield EventStream(answer.iter_lines())


class EventStream:
    """The events of one connection; ``last_id`` is the id to resume from."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._reader = EventReader()
        self._lines = lines

    def __iter__(self) -> Iterator[Event]:
        return self._reader.events(self._lines)

    @property
    def last_id(self) -> str:
        """The last event id; the server sends one before the first event."""
        while not self._reader.last_id:
            self._reader.read(next(self._lines))
        return self._reader.last_id


def test_a_job_is_watched_to_its_end(system: System) -> None:
    [job_id] = system.submit(photo("watched"))
    path = f"/v1/jobs/{job_id}/events"
    with listening(system, path) as stream:
        events = list(stream)
    assert {event.data["job_id"] for event in events} == {job_id}
    revisions = [event.data["revision"] for event in events]
    assert revisions == sorted(set(revisions))
    last = events[-1]
    assert last.data["status"] == "completed"
    assert set(last.data["stages"].values()) == {"completed"}
    assert [event.data["status"] for event in events[:-1]].count("completed") == 0
    # An EventSource reconnects by itself; a 204 stops it.
    with system.http() as http:
        assert http.get(path, headers={"Last-Event-ID": last.id}).status_code == 204


def test_a_bad_photo_is_watched_to_its_end(system: System) -> None:
    [job_id] = system.submit(b"this is no photo")
    with listening(system, f"/v1/jobs/{job_id}/events") as stream:
        last = list(stream)[-1]
    assert last.data["status"] == "failed"
    assert last.data["error"]["stage"] == "validation"
    assert last.data["error"]["code"] == "not-an-image"


def test_a_listener_of_a_group_that_is_cut_again_and_again_misses_nothing(system: System) -> None:
    group = "cut and resumed"
    with listening(system, "/v1/events", group=group) as stream:
        last_id = stream.last_id
    # No client is connected while the gateway accepts these and the first ones complete.
    job_ids = set(system.submit(*photos("cut and resumed", 12), group=group))
    system.finish(min(job_ids))
    newest: dict[str, tuple[int, int]] = {}
    ended: set[str] = set()
    while ended != job_ids:
        with listening(system, "/v1/events", last_id, group=group) as stream:
            for number, event in enumerate(stream):
                job_id = event.data["job_id"]
                if event.data["status"] == "deleted":
                    continue  # of another test: a deleted job has no group
                assert job_id in job_ids
                newest[job_id] = max(newest.get(job_id, (0, 0)), _age(event))
                if event.data["status"] == "completed":
                    ended.add(job_id)
                if number == 2 * len(job_ids) or ended == job_ids:
                    break
            last_id = stream.last_id
    assert set(newest) == job_ids


def _age(event: Event) -> tuple[int, int]:
    return event.data["run"], event.data["revision"]
