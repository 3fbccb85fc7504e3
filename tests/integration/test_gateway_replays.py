"""Replays over HTTP: real server, real stores, the embedded broker."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from asking import apply, client, problem
from confluent_kafka import Message, Producer
from serving import GRAPH, Serving, embedded_broker, serving

from gateway.replays.state import HEARTBEAT_TIMEOUT, ReplayState, save
from storage.artifacts import keys
from storage.jobs.store import Deleted, StageCompleted, Submitted
from streams.broker.connection import BrokerUrl
from streams.events.codec import encode
from streams.events.models import Event, ImageValidated
from tests.broking import messages
from tests.polling import until

SHA = "0" * 64
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ALL = GRAPH.names


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path, broker) as running:
        yield running


@pytest.fixture
def http(gateway: Serving) -> Iterator[httpx.Client]:
    with client(gateway) as http:
        yield http


def validated(job_id: str, **more: Any) -> ImageValidated:
    return ImageValidated(
        job_id=job_id,
        **{
            "sha256": SHA,
            "perceptual_hash": "0",
            "original": keys.original(SHA),
            "working": keys.working(SHA),
            "width": 1,
            "height": 1,
            "format": "JPEG",
            "bytes": 1,
            "stages": ALL,
            **more,
        },
    )


def finished(gateway: Serving, *, wanted: tuple[str, ...] = ALL, run: int = 1) -> str:
    """Return a job that has all its results, and whose event is on the topic."""
    job_id = str(uuid.uuid4())
    done = [StageCompleted(job_id, run, NOON, stage, {"sha256": SHA}, wanted) for stage in wanted]
    apply(gateway, Submitted(job_id, run, NOON, {"url": "http://a"}, wanted), *done)
    publish(gateway, validated(job_id, run=run, stages=wanted, force=True))
    return job_id


def publish(gateway: Serving, *events: Event) -> None:
    producer = Producer({**gateway.broker.confluent(), "linger.ms": 0})
    for event in events:
        made = encode(event, source="/tests")
        producer.produce(made.topic, made.value, made.key, headers=list(made.headers))
    assert producer.flush(20) == 0


def replayed(http: httpx.Client, **order: Any) -> dict[str, Any]:
    """Start a replay, and return it when it has ended."""
    answer = http.post("/v1/replays", json={"topic": "image-validated", **order})
    assert answer.status_code == 202, answer.text
    begun = answer.json()
    assert begun["status"] == "running"

    def ended() -> dict[str, Any] | None:
        now: dict[str, Any] = http.get(begun["links"]["self"]).json()
        return now if now["status"] != "running" else None

    end = until(ended)
    assert end is not None
    return end


def again(gateway: Serving, count: int, topic: str = "image-validated") -> list[dict[str, Any]]:
    """Return the data of the events that replays have published."""
    ours = b"/tests/gateway"
    found = messages(gateway.broker, topic, count, lambda each: header(each, "ce_source") == ours)
    return [json.loads(message.value() or b"") for message in found]


def header(message: Message, name: str) -> bytes | None:
    return dict(message.headers() or []).get(name)


def test_each_jobs_newest_event_is_published_with_its_run_raised(
    gateway: Serving, http: httpx.Client
) -> None:
    first, second = finished(gateway), finished(gateway, run=4)
    publish(gateway, validated(first, format="PNG"))
    end = replayed(http)
    assert (end["status"], end["topic"], end["dry_run"]) == ("completed", "image-validated", False)
    assert (end["read"], end["matched"], end["published"], end["skipped"]) == (3, 2, 2, 0)
    assert end["finished_at"] >= end["started_at"]
    events = {event["job_id"]: event for event in again(gateway, 2)}
    assert (events[first]["run"], events[first]["format"]) == (2, "PNG")
    assert events[second]["run"] == 5
    assert events[first]["lane"] == "bulk"
    assert events[first]["force"] is False
    assert tuple(events[first]["stages"]) == ALL


def test_what_is_left_out_is_counted(gateway: Serving, http: httpx.Client) -> None:
    deleted, alone = finished(gateway), finished(gateway, wanted=("validation",))
    apply(gateway, Deleted(deleted, 1, NOON))
    publish(gateway, validated(str(uuid.uuid4())))
    producer = Producer(gateway.broker.confluent())
    producer.produce("image-validated", b"junk")
    producer.flush(20)
    end = replayed(http)
    assert alone
    assert (end["read"], end["matched"], end["published"], end["skipped"]) == (4, 3, 0, 4)


def test_it_can_be_narrowed(gateway: Serving, http: httpx.Client) -> None:
    job_ids = [finished(gateway) for _ in range(3)]
    assert replayed(http, job_ids=[job_ids[0].upper()])["published"] == 1
    assert replayed(http, match={"bytes": 1, "job_id": job_ids[1]})["published"] == 1
    assert replayed(http, to="1h")["published"] == 0
    assert replayed(http, **{"from": "1h"})["published"] == 3
    assert replayed(http, stages=["shots"], force=True, job_ids=[job_ids[2]])["published"] == 1
    last = [event for event in again(gateway, 6) if event["force"]]
    assert [event["stages"] for event in last] == [["validation", "pose", "shots"]]


def test_a_dry_run_publishes_nothing(gateway: Serving, http: httpx.Client) -> None:
    finished(gateway)
    end = replayed(http, dry_run=True)
    assert (end["dry_run"], end["matched"], end["published"]) == (True, 1, 0)
    assert replayed(http)["read"] == 1


def test_a_rate_is_kept(gateway: Serving, http: httpx.Client) -> None:
    for _ in range(4):
        finished(gateway)
    end = replayed(http, rate=2)
    took = datetime.fromisoformat(end["finished_at"]) - datetime.fromisoformat(end["started_at"])
    assert end["published"] == 4
    assert took >= timedelta(seconds=1)  # two at once, two after a second


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "invalid-request"),
    ({"topic": "image-captioned"}, "topic-not-replayable"),
    ({"topic": "image-validated", "stages": ["ironing"]}, "unknown-stage"),
    ({"topic": "image-validated", "from": "yesterday"}, "invalid-request"),
    ({"topic": "image-validated", "to": 7}, "invalid-request"),
    ({"topic": "image-validated", "rate": 0}, "invalid-request"),
    ({"topic": "image-validated", "job_ids": ["1"]}, "invalid-request"),
    ({"topic": "image-validated", "match": {"a": [1]}}, "invalid-request"),
    ({"topic": "image-validated", "dry_run": "yes"}, "invalid-request"),
]


@pytest.mark.parametrize(("body", "code"), REFUSED, ids=lambda value: str(value)[:40])
def test_invalid_replays_are_refused(http: httpx.Client, body: dict[str, Any], code: str) -> None:
    assert problem(http.post("/v1/replays", json=body)) == (422, code)


@pytest.mark.parametrize("replay_id", ["01a20801-845d-768b-82dd-f448762e99cb", "nonsense"])
def test_a_replay_that_is_not_there(http: httpx.Client, replay_id: str) -> None:
    assert problem(http.get(f"/v1/replays/{replay_id}")) == (404, "replay-not-found")


def test_a_replay_of_a_dead_gateway_is_failed(gateway: Serving, http: httpx.Client) -> None:
    heard = datetime.now(UTC) - HEARTBEAT_TIMEOUT
    replay_id = str(uuid.uuid4())
    state = ReplayState(
        replay_id=replay_id, topic="t", dry_run=False, read=7, started_at=NOON, heard_at=heard
    )
    save(state, gateway.artifacts)
    now = http.get(f"/v1/replays/{replay_id}").json()
    assert (now["status"], now["read"], now["error"]["code"]) == ("failed", 7, "interrupted")


def test_a_replay_is_interrupted_by_a_stop_of_the_gateway(tmp_path: Path) -> None:
    with embedded_broker() as broker:
        with serving(tmp_path, broker) as gateway, client(gateway) as http:
            for _ in range(3):
                finished(gateway)
            order = {"topic": "image-validated", "rate": 0.01}
            told = http.post("/v1/replays", json=order).json()["links"]["self"]
            until(lambda: http.get(told).json()["published"])
        with serving(tmp_path, broker) as gateway, client(gateway) as http:
            now = http.get(told).json()
    assert (now["status"], now["published"]) == ("failed", 1)
    assert now["error"]["code"] == "interrupted"


def test_a_broker_that_is_away_fails_the_replay(tmp_path: Path) -> None:
    with serving(tmp_path, BrokerUrl("127.0.0.1:9")) as gateway, client(gateway) as http:
        told = http.post("/v1/replays", json={"topic": "image-validated"}).json()["links"]["self"]
        until(lambda: http.get(told).json()["status"] == "failed")
        assert http.get(told).json()["error"]["code"] == "broker-unavailable"
