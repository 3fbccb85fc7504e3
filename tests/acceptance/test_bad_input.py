"""Bad input gets an error with a stable code, and the next job works."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator

import pytest
from confluent_kafka import Message

from tests.acceptance.photos import photo
from tests.acceptance.rest import Job, all_completed
from tests.acceptance.system import System
from tests.acceptance.topics import (
    SUBMITTED,
    find,
    headers,
    new_job_id,
    publish,
    publish_event,
    submission,
)
from tests.acceptance.website import Website
from tests.polling import until

CONNECT = "__connect.errors."


def black_png(width: int, height: int) -> bytes:
    """Return a black PNG of ``width`` × ``height`` pixels in few bytes."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.fixture(autouse=True)
def the_service_is_unharmed(system: System, request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test the same processes run, and the next photo is completed."""
    before = system.running_as("worker") | system.running_as("gateway")
    yield
    assert system.running_as("worker") | system.running_as("gateway") == before
    system.completed(photo(f"after {request.node.name}"))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(b"Dear sir or madam,\nplease find enclosed", "not-an-image", id="text"),
        pytest.param(photo("cut off")[:2000], "truncated-image", id="truncated"),
        pytest.param(b"\xff", "not-an-image", id="one byte"),
        pytest.param(black_png(30_000, 30_000), "too-many-pixels", id="30,000 x 30,000"),
    ],
)
def test_a_file_that_is_no_photo(system: System, content: bytes, code: str) -> None:
    (job_id,) = system.submit(content)
    job = system.finish(job_id)
    _assert_failed(job, code)
    skipped = {name for name, stage in job["stages"].items() if stage["status"] == "skipped"}
    assert skipped == set(job["stages"]) - {"validation"}


def test_an_empty_file_is_refused(system: System) -> None:
    answer = system.post([b""])
    assert (answer.status_code, answer.json()["code"]) == (422, "empty-file")
    both = system.post([b"", photo("beside an empty one")])
    assert both.status_code == 202
    refused, accepted = both.json()["jobs"]
    assert refused["error"]["code"] == "empty-file"
    all_completed([system.finish(accepted["job_id"])])


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/missing", "url-not-found"),
        ("/inward", "url-not-allowed"),
        ("/drip", "url-timeout"),
        ("/flood", "url-too-large"),
    ],
)
def test_a_url_that_leads_nowhere(system: System, website: Website, path: str, code: str) -> None:
    (entry,) = system.post_json(url=website.url + path).json()["jobs"]
    _assert_failed(system.finish(entry["job_id"]), code)
    assert website.answers.total() == 1  # one request, not repeated


def test_an_upload_does_not_wait_for_urls_that_never_answer(
    system: System, website: Website
) -> None:
    urls = [f"{website.url}/hang?{number}" for number in range(24)]
    entries = system.post_json(urls=urls).json()["jobs"]
    (job_id,) = system.submit(photo("beside URLs that never answer"))
    all_completed([system.finish(job_id)])
    statuses = [(system.job(entry["job_id"]) or {})["status"] for entry in entries]
    assert statuses.count("pending") > len(urls) / 2
    for entry in entries:
        with system.http() as http:
            assert http.delete(f"/v1/jobs/{entry['job_id']}").status_code == 204


def test_a_url_of_a_busy_server_is_fetched_later(system: System, website: Website) -> None:
    url = website.put("/busy.jpg", photo("of a busy server"))
    (entry,) = system.post_json(url=url).json()["jobs"]
    all_completed([system.finish(entry["job_id"])])
    assert website.answers == {("/busy.jpg", 503): 1, ("/busy.jpg", 200): 1}


def test_a_url_of_this_machine(system: System) -> None:
    (entry,) = system.post_json(url=f"{system.gateway}/pages/icon.svg").json()["jobs"]
    _assert_failed(system.finish(entry["job_id"]), "url-not-allowed")


def test_an_unknown_stage(system: System, website: Website) -> None:
    content = photo("an unknown stage")
    answer = system.post([content], stages="validation,ironing")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown-stage")
    assert "ironing" in answer.json()["detail"]
    data = submission(new_job_id(), website.put("/a.jpg", content), stages=["ironing"])
    job = _finished(system, publish_event(system.info["kafka"], data))
    _assert_failed(job, "unknown-stage")
    assert "ironing" in job["error"]["message"]


def test_broken_json_on_the_topic(system: System) -> None:
    job_id, broker = new_job_id(), system.info["kafka"]
    value = b'{"job_id": "' + job_id.encode() + b'", "source": {"url"'
    own = headers()
    sent = publish(broker, job_id, value, own)
    _assert_dead(find(broker, "dead-letters", lambda it: it.value() == value), sent, own)
    # The record's key is the job id.
    _assert_failed(_finished(system, job_id), "undecodable-event")


def test_an_event_without_job_id(system: System, website: Website) -> None:
    broker, url = system.info["kafka"], website.put("/b.jpg", photo("whose is it"))
    value = json.dumps({"source": {"url": url}, "mark": new_job_id()}).encode()
    own = headers()
    sent = publish(broker, "no job", value, own)
    letter = find(broker, "dead-letters", lambda it: it.value() == value)
    _assert_dead(letter, sent, own)
    assert b"job_id" in dict(letter.headers())[CONNECT + "exception.message"]
    assert website.answers.total() == 0


def _assert_dead(letter: Message, sent: Message, own: list[tuple[str, bytes]]) -> None:
    """Assert that the record is unchanged, and that Kafka Connect's headers follow its ``own``."""
    assert letter.key() == sent.key()
    assert letter.headers()[: len(own)] == own
    told = {name: value.decode() for name, value in letter.headers()}
    assert told[CONNECT + "topic"] == SUBMITTED
    assert told[CONNECT + "partition"] == str(sent.partition())
    assert told[CONNECT + "offset"] == str(sent.offset())
    assert told[CONNECT + "stage"] == "validation"
    assert told[CONNECT + "exception.class.name"] == "streams.errors.UndecodableEvent"
    assert told[CONNECT + "exception.message"]
    assert "Traceback" in told[CONNECT + "exception.stacktrace"]
    assert told["attempts"] == "1"
    assert told["group"] == "lookstream.validation"


def _finished(system: System, job_id: str) -> Job:
    until(lambda: system.job(job_id))
    return system.finish(job_id)


def _assert_failed(job: Job, code: str) -> None:
    assert job["status"] == "failed"
    assert (job["error"]["stage"], job["error"]["code"]) == ("validation", code)
    assert job["error"]["message"]
    assert job["stages"]["validation"]["status"] == "failed"
    assert job["stages"]["validation"]["error"] == job["error"]
    assert job["caption"] is None
    assert job["thumbnails"] == []
