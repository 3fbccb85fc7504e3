"""Listing jobs over HTTP: filters, pages, counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from asking import apply, client, completed, problem, submit
from serving import GRAPH, Serving, embedded_broker, serving

from storage.jobs.store import StageError, StageFailure, Submitted

ALL = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
START = datetime(2026, 3, 1, tzinfo=UTC)
CAPTION = {
    "caption": "Red Floral Midi Dress",
    "attributes": {
        "type": {"value": "dress", "confidence": 0.9},
        "colour": {"value": "red", "confidence": 0.8},
    },
    "needs_review": True,
    "model": "m1",
}
CLASSES = {"top5": [{"label": "dress", "probability": 0.7}], "model": "m1"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        yield running


@pytest.fixture
def http(gateway: Serving) -> Iterator[httpx.Client]:
    with client(gateway) as http:
        yield http


@pytest.fixture(scope="module", autouse=True)
def jobs(gateway: Serving) -> list[str]:
    """Ten jobs of the group `shop`, an hour apart: one completed, one failed, eight pending."""
    made = [f"01a20801-845d-768b-82dd-{number:012d}" for number in range(10)]
    for number, job_id in enumerate(made):
        source = {"url": f"https://example.com/{number}.jpg"}
        at = START + timedelta(hours=number)
        apply(gateway, Submitted(job_id, 1, at, source, GRAPH.names, group="shop"))
    apply(gateway, *completed(made[3], captioning=CAPTION, classification=CLASSES))
    error = StageError("validation", "rejected", "not-an-image", "no picture")
    blocks = GRAPH.downstream("validation")
    apply(gateway, StageFailure(made[4], 1, START, error, GRAPH.names, blocks))
    return made


def found(http: httpx.Client, **asked: Any) -> list[int]:
    answer = http.get("/v1/jobs", params={"group": "shop", **asked})
    assert answer.status_code == 200, answer.text
    return [int(job["job_id"][-12:]) for job in answer.json()["jobs"]]


def test_the_newest_come_first(http: httpx.Client) -> None:
    assert found(http) == ALL


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"status": "completed"}, [3]),
        ({"status": ["completed", "failed"]}, [4, 3]),
        ({"status": "processing"}, []),
        ({"type": "Dress"}, [3]),
        ({"colour": "RED"}, [3]),
        ({"colour": "blue"}, []),
        ({"label": "dress"}, [3]),
        ({"needs_review": "true"}, [3]),
        ({"needs_review": "false"}, []),
        ({"q": "floral red"}, [3]),
        ({"q": "floral trousers"}, []),
        ({"q": "", "type": ""}, ALL),
        ({"since": "2026-03-01T07:00:00Z"}, [9, 8, 7]),
        ({"since": "2026-03-01T08:00:00+01:00", "until": "2026-03-01T09:00:00"}, [8, 7]),
        ({"since": "0001-01-01T00:00:00+14:00", "until": "9999-12-31T23:59:59-12:00"}, ALL),
        ({"group": "nobody's"}, []),
        ({"group": "'; DROP TABLE jobs; --"}, []),
    ],
)
def test_filters(http: httpx.Client, asked: dict[str, Any], expected: list[int]) -> None:
    assert found(http, **asked) == expected


def test_pages_go_on_where_the_last_ended_while_jobs_come_in(
    gateway: Serving, http: httpx.Client
) -> None:
    numbers: list[int] = []
    address: str | None = "/v1/jobs?group=shop&limit=3&status=pending&status=completed"
    while address:
        answer = http.get(address)
        numbers += [int(job["job_id"][-12:]) for job in answer.json()["jobs"]]
        following = answer.links.get("next")
        assert (following is None) == (answer.json()["cursor"] is None)
        address = following and following["url"]
        submit(http, b"another one", group="elsewhere")
    assert numbers == [9, 8, 7, 6, 5, 3, 2, 1, 0]


def test_counts_are_of_the_whole_filter(http: httpx.Client) -> None:
    counts = {"total": 10, "pending": 8, "processing": 0, "completed": 1, "failed": 1}
    answer = http.get("/v1/jobs?group=shop&counts=true&limit=1").json()
    assert answer["counts"] == {**counts, "capped": False}
    assert "counts" not in http.get("/v1/jobs?group=shop").json()
    only = http.get("/v1/jobs?group=shop&counts=true&status=failed").json()["counts"]
    assert only == {**dict.fromkeys(counts, 0), "total": 1, "failed": 1, "capped": False}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=many",
        "status=deleted",
        "status=",
        "since=yesterday",
        "since=0.5",
        "group=%00",
        "q=" + "a" * 201,
        "counts=perhaps",
    ],
)
def test_parameters_that_are_refused(http: httpx.Client, query: str) -> None:
    assert problem(http.get(f"/v1/jobs?{query}")) == (422, "invalid-request")


@pytest.mark.parametrize(
    "cursor", ["x", "%", "1", "1.", ".1", "1.é", "1.a/b", "1" * 19 + ".a", "1." + "a" * 65]
)
def test_invalid_cursors_are_refused(http: httpx.Client, cursor: str) -> None:
    answer = http.get("/v1/jobs", params={"cursor": cursor})
    assert problem(answer) == (422, "cursor-invalid")


def test_long_answers_are_compressed_if_the_client_accepts_it(http: httpx.Client) -> None:
    packed = http.get("/v1/jobs?group=shop", headers={"accept-encoding": "gzip"})
    plain = http.get("/v1/jobs?group=shop", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 4
