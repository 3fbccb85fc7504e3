"""The clients' retries: a gateway is busy, unreachable, or closes connections."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from both_clients import KINDS, either_client
from lookstream_client import InvalidValue, NotAGateway
from scripted_gateway import HANG_UP, Said, busy, document, scripted

from lookstream import GatewayBusy, GatewayUnreachable, JobNotFound, RetryPolicy

PATIENCE = RetryPolicy(total_s=5, base_s=0.01, cap_s=0.02)
HASTY = RetryPolicy(total_s=0.1, base_s=0.01, cap_s=0.02, first_contact_s=0.1)
JOB = {"job_id": "01a20801-845d-768b-82dd-f448762e99cb", "status": "pending"}
INFO = document(gateway="http://here", kafka="k", artifacts="a", jobs="j")
ACCEPTED = document(202, jobs=[JOB])
MISSING = document(404, code="job-not-found", status=404, detail="no such job")

both = pytest.mark.parametrize("kind", KINDS)


@both
@pytest.mark.parametrize(
    "bad_day",
    [[busy(503)], [busy(429)], [Said(502, b"<html>a proxy")], [HANG_UP, busy(), HANG_UP]],
    ids=["503", "429", "502", "hangs up"],
)
def test_a_submission_is_sent_again_under_the_same_key(kind: str, bad_day: Sequence[Said]) -> None:
    # The call of `info` is first, because the client gives up sooner if the first request fails.
    with scripted(INFO, *bad_day, ACCEPTED) as gateway:
        with either_client(kind, gateway.url, PATIENCE) as client:
            client.info()
            assert client.submit("https://example.com/a.jpg").job_id == JOB["job_id"]
        sent = gateway.heard[1:]
    assert len(sent) == len(bad_day) + 1
    assert len({each.headers["idempotency-key"] for each in sent}) == 1
    assert len({each.body for each in sent}) == 1


@both
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.replay("image-validated", rate=math.nan),
        lambda client: client.replay("image-validated", match={"group": "\udcff"}),
        lambda client: client.submit(b"photo", group="\udcff"),
        lambda client: client.submit("https://example.com/a.jpg", metadata={"price": math.inf}),
        lambda client: client.submit("https://example.com/a.jpg", metadata={"path": Path("a")}),
        lambda client: client.page(label="\udcff"),
    ],
    ids=["rate", "match", "group", "metadata", "type", "query"],
)
def test_a_value_that_cannot_be_sent_is_an_error_before_anything_is_sent(
    kind: str, call: Callable[[Any], object]
) -> None:
    with scripted(INFO) as gateway:
        with either_client(kind, gateway.url, PATIENCE) as client, pytest.raises(InvalidValue):
            call(client)
        assert not gateway.heard


@both
def test_an_id_that_is_no_text_is_an_unknown_job(kind: str) -> None:
    with scripted(MISSING) as gateway:
        with either_client(kind, gateway.url, PATIENCE) as client, pytest.raises(JobNotFound):
            client.job("\udcff")
        assert len(gateway.heard) == 1


@both
def test_a_photo_makes_the_same_bytes_every_time(kind: str, tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(b"the same photo")
    with scripted(ACCEPTED, MISSING, ACCEPTED) as gateway:
        with either_client(kind, gateway.url, PATIENCE) as client:
            client.submit(tmp_path / "one" / "a.jpg", once=True, metadata={"b": 1, "a": 2})
            with pytest.raises(JobNotFound):
                client.job("x")
            client.submit(tmp_path / "other" / "a.jpg", once=True, metadata={"a": 2, "b": 1})
        first, _, second = gateway.heard
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


@both
def test_retry_after_is_waited_for(kind: str) -> None:
    with (
        scripted(busy(429, "1"), INFO) as gateway,
        either_client(kind, gateway.url, PATIENCE) as client,
    ):
        began = monotonic()
        client.info()
    assert monotonic() - began >= 1


@both
def test_a_rerun_is_not_repeated_after_a_lost_answer(kind: str) -> None:
    with scripted(INFO, HANG_UP, busy(), document(202, run=2, **JOB)) as gateway:
        with either_client(kind, gateway.url, PATIENCE) as client:
            client.info()
            with pytest.raises(GatewayUnreachable):
                client.rerun(JOB["job_id"])
            assert client.rerun(JOB["job_id"]).run == 2  # 503 first: no effect
        assert [each.method for each in gateway.heard] == ["GET", "POST", "POST", "POST"]


@both
def test_a_retry_after_beyond_the_limit_raises_gateway_busy(kind: str) -> None:
    with (
        scripted(*[busy(503, "3600")] * 2) as gateway,
        either_client(kind, gateway.url, HASTY) as client,
        pytest.raises(GatewayBusy) as error,
    ):
        client.info()
    assert (error.value.code, error.value.retry_after_s) == ("store-unavailable", 3600)
    assert len(gateway.heard) == 1


@both
def test_another_server_raises_not_a_gateway(kind: str) -> None:
    with (
        scripted(Said(200, b"<html>hello"), Said(404, b"nothing")) as stranger,
        either_client(kind, stranger.url, PATIENCE) as client,
    ):
        for _ in range(2):
            with pytest.raises(NotAGateway):
                client.info()


def job_with_a_cutout(store: str) -> Said:
    picture = {"url": f"{store}/cutouts/c.png?signed=1"}
    return document(job_id="x", status="completed", cutout=picture)


@both
def test_an_interrupted_download_leaves_no_partial_file(kind: str, tmp_path: Path) -> None:
    half = Said(200, b"half", {"Content-Length": "8"}, cut=True)
    with scripted(half, HANG_UP, Said(200, b"the lot!")) as gateway:
        gateway.script.insert(0, job_with_a_cutout(gateway.url))
        with either_client(kind, gateway.url, PATIENCE) as client:
            client.download("x", tmp_path)
    assert (tmp_path / "cutout.png").read_bytes() == b"the lot!"
    with scripted(*[half] * 50) as gateway:
        gateway.script.insert(0, job_with_a_cutout(gateway.url))
        with (
            either_client(kind, gateway.url, HASTY) as client,
            pytest.raises(GatewayUnreachable),
        ):
            client.download("x", tmp_path / "never")
    assert list((tmp_path / "never").iterdir()) == []


def events(*changes: tuple[str, str, int], end: bool = False) -> Said:
    """Return a stream of changes (job, status, revision) that breaks off, or ends."""
    told = [": keep-alive\n\nretry: 10\n\n"]
    for job_id, status, revision in changes:
        data = {"job_id": job_id, "status": status, "run": 1, "revision": revision}
        told.append(f"event: job\nid: {job_id}-{revision}\ndata: {json.dumps(data)}\n\n")
    headers = {"Content-Type": "text/event-stream"}
    return Said(200, "".join(told).encode(), headers, cut=not end)


@both
def test_a_broken_stream_resumes_at_its_last_event(kind: str) -> None:
    script = [
        events(("a", "pending", 1), ("a", "processing", 2)),
        HANG_UP,
        busy(503),
        events(("a", "processing", 2), ("a", "processing", 3), end=True),
        events(("a", "completed", 4)),
    ]
    with scripted(*script) as gateway:
        with either_client(kind, gateway.url, PATIENCE) as client:
            changes = list(client.stream("a"))
        asked = [each.headers.get("last-event-id") for each in gateway.heard]
    assert [change.revision for change in changes] == [1, 2, 3, 4]
    assert asked == [None, "a-2", "a-2", "a-2", "a-3"]


@both
def test_a_204_ends_the_stream(kind: str) -> None:
    with scripted(Said(204)) as gateway, either_client(kind, gateway.url, PATIENCE) as client:
        assert list(client.stream("a", last_event_id="a-4")) == []
    assert gateway.heard[0].headers["last-event-id"] == "a-4"


@both
def test_a_group_stream_continues_after_a_job_has_ended(kind: str) -> None:
    script = [
        events(("a", "completed", 4), ("b", "pending", 1)),
        events(("a", "completed", 4), ("b", "completed", 2)),
    ]
    with scripted(*script) as gateway, either_client(kind, gateway.url, PATIENCE) as client:
        stream = client.stream(group="spring sale")
        changes = [next(stream) for _ in range(3)]
    assert [(change.job_id, change.revision) for change in changes] == [
        ("a", 4),
        ("b", 1),
        ("b", 2),
    ]
    assert {each.path for each in gateway.heard} == {"/v1/events?group=spring+sale"}


@both
def test_a_stream_fails_if_the_gateway_stays_unreachable(kind: str) -> None:
    with (
        scripted(events(("a", "pending", 1)), *[HANG_UP] * 90) as gateway,
        either_client(kind, gateway.url, HASTY) as client,
    ):
        stream = client.stream("a")
        assert next(stream).status == "pending"
        with pytest.raises(GatewayUnreachable):
            next(stream)
