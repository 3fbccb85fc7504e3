"""Options of a submission (group, metadata, lane), and idempotency keys."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from asking import JPEG, client, problem, submit
from serving import Serving, drop_jobs, embedded_broker, first_message, serving

from gateway.submissions.body import Submission
from gateway.submissions.idempotency import fingerprint
from gateway.submissions.idempotency import job_id as made_id
from gateway.submissions.options import Options
from gateway.submissions.photos import Remote
from storage.jobs.store import IdempotencyRecord, JobQuery
from streams.broker.connection import BrokerUrl
from streams.errors import EventTooLarge

URL = "https://example.com/a.jpg"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        yield running


@pytest.fixture
def http(gateway: Serving) -> Iterator[httpx.Client]:
    with client(gateway) as http:
        yield http


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 202, answer.text
    return [entry["job_id"] for entry in answer.json()["jobs"] if "job_id" in entry]


def test_what_is_said_with_a_photo_is_kept_and_published(
    gateway: Serving, http: httpx.Client
) -> None:
    said = {"group": "spring", "metadata": {"sku": "D-1", "$a.b": [[1.5, None]]}, "lane": "bulk"}
    form = {**said, "metadata": json.dumps(said["metadata"])}
    for job_id in (
        submit(http, JPEG, **form)[0]["job_id"],
        ids(http.post("/v1/jobs", json={"url": URL, **said}))[0],
    ):
        job = http.get(f"/v1/jobs/{job_id}").json()
        event = json.loads(first_message(gateway.broker, "image-submitted", job_id).value() or b"")
        for name, value in said.items():
            assert job[name] == value
            assert event[name] == value


def test_the_file_name_is_kept_published_and_found(gateway: Serving, http: httpx.Client) -> None:
    name = "../Kleid äöü-vorne.jpg"
    form = http.post("/v1/jobs", files={"files": (name, JPEG)})
    inline = {"image_base64": base64.b64encode(JPEG).decode(), "filename": name}
    for answer in (form, http.post("/v1/jobs", json=inline)):
        (job_id,) = ids(answer)
        assert http.get(f"/v1/jobs/{job_id}").json()["filename"] == "Kleid äöü-vorne.jpg"
        event = json.loads(first_message(gateway.broker, "image-submitted", job_id).value() or b"")
        assert event["filename"] == "Kleid äöü-vorne.jpg"
        found = http.get("/v1/jobs", params={"q": "vorne kleid"}).json()["jobs"]
        assert job_id in [job["job_id"] for job in found]


def test_a_url_gives_the_file_name(http: httpx.Client) -> None:
    (job_id,) = ids(
        http.post("/v1/jobs", json={"url": "https://example.com/p/red%20dress.jpg?w=1"})
    )
    assert http.get(f"/v1/jobs/{job_id}").json()["filename"] == "red dress.jpg"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"group": "g" * 129}, 422, "invalid-request"),
        ({"group": "a\nb"}, 422, "invalid-request"),
        ({"group": 7}, 422, "invalid-request"),
        ({"lane": "fast"}, 422, "invalid-request"),
        ({"metadata": []}, 422, "invalid-request"),
        ({"metadata": {"a": "\x00"}}, 422, "invalid-request"),
        ({"metadata": {"\x00": 1}}, 422, "invalid-request"),
        ({"metadata": {"a": 2**70}}, 422, "invalid-request"),
        ({"metadata": {"a": "x" * 16_000}}, 422, "metadata-too-large"),
        ({"force": "yes"}, 422, "invalid-request"),
        ({"stages": [["pose"]]}, 422, "invalid-request"),
    ],
)
def test_options_that_are_refused(
    http: httpx.Client, body: dict[str, object], status: int, code: str
) -> None:
    assert problem(http.post("/v1/jobs", json={"url": URL, **body})) == (status, code)
    form = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()
    }
    if isinstance(body.get("group", ""), str) and body != {"force": "yes"} and "stages" not in body:
        answer = http.post("/v1/jobs", files={"files": JPEG}, data=form)
        assert problem(answer) == (status, code)


@pytest.mark.parametrize(
    "metadata",
    [
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"a": ' + "[" * 40 + "]" * 40 + "}",
        '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"a": 1',
        '"text"',
        "null",
    ],
)
def test_metadata_that_no_store_could_keep(http: httpx.Client, metadata: str) -> None:
    form = http.post("/v1/jobs", files={"files": JPEG}, data={"metadata": metadata})
    assert problem(form) == (422, "invalid-request")
    content = f'{{"url": "{URL}", "metadata": {metadata}}}'
    headers = {"content-type": "application/json"}
    answer = http.post("/v1/jobs", content=content, headers=headers)
    assert problem(answer)[0] in (400, 422)


def test_a_repeated_request_is_one_request(gateway: Serving, http: httpx.Client) -> None:
    key = {"Idempotency-Key": "once"}
    files = [
        ("files", ("1.jpg", JPEG)),
        ("files", ("2.jpg", b"")),
        ("files", ("3.jpg", JPEG + b"3")),
    ]
    first, again = (
        http.post("/v1/jobs", files=files, data={"group": "once"}, headers=key) for _ in range(2)
    )
    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    page = asyncio.run(gateway.jobs.find(JobQuery(group="once")))
    assert sorted(job.job_id for job in page.jobs) == sorted(ids(first))
    assert {job.idempotency_key for job in page.jobs} == {"once"}


def from_address(address: str) -> dict[str, str]:
    """Return headers as of a proxy on this machine, which uvicorn trusts."""
    return {"Idempotency-Key": "order 1", "X-Forwarded-For": address}


def test_equal_keys_of_two_senders_have_nothing_in_common(http: httpx.Client) -> None:
    first, other = from_address("10.0.0.1"), from_address("10.0.0.2")
    mine = http.post("/v1/jobs", json={"url": URL}, headers=first)
    theirs = http.post("/v1/jobs", json={"url": f"{URL}?2"}, headers=other)
    assert ids(mine) != ids(theirs)
    assert ids(http.post("/v1/jobs", json={"url": URL}, headers=first)) == ids(mine)
    again = http.post("/v1/jobs", json={"url": URL}, headers=other)
    assert problem(again) == (409, "idempotency-conflict")
    key = "upload 1"
    uploads = [
        http.post("/v1/uploads", headers={**headers, "Idempotency-Key": key}).json()["id"]
        for headers in (first, other, first)
    ]
    assert uploads[0] == uploads[2] != uploads[1]


def test_a_request_before_the_update_to_this_version_is_repeated_after_it(
    gateway: Serving, http: httpx.Client
) -> None:
    asked = Submission([Remote(URL)], Options())
    known = IdempotencyRecord("an old key", fingerprint(asked), datetime.now(UTC))
    asyncio.run(gateway.jobs.claim_idempotency_key(known, expired=known.at - timedelta(days=1)))
    headers = {"Idempotency-Key": known.key}
    answer = http.post("/v1/jobs", json={"url": URL}, headers=headers)
    assert ids(answer) == [made_id(known.key, known.at, 0)]
    assert answer.headers["Idempotent-Replayed"] == "true"
    other = http.post("/v1/jobs", json={"url": f"{URL}?other"}, headers=headers)
    assert len(ids(other)) == 1  # the old key may be of another sender, so it is no conflict


def test_another_request_under_the_same_key_is_a_conflict(http: httpx.Client) -> None:
    key = {"Idempotency-Key": "taken"}
    assert ids(http.post("/v1/jobs", files={"files": JPEG}, headers=key))
    for other in (
        http.post("/v1/jobs", files={"files": JPEG + b"!"}, headers=key),
        http.post("/v1/jobs", files={"files": JPEG}, data={"group": "g"}, headers=key),
        http.post("/v1/jobs", json={"url": URL}, headers=key),
    ):
        assert problem(other) == (409, "idempotency-conflict")


def test_a_request_that_was_refused_does_not_use_up_its_key(http: httpx.Client) -> None:
    key = {"Idempotency-Key": "mended"}
    assert problem(http.post("/v1/jobs", json={"url": "nonsense"}, headers=key))[0] == 422
    assert ids(http.post("/v1/jobs", json={"url": URL}, headers=key))


def test_double_clicks_make_one_job_each(gateway: Serving) -> None:
    def click(number: int) -> list[str]:
        headers = {"Idempotency-Key": f"click {number % 4}"}
        body = {"urls": [URL, URL + "?2"], "group": "clicks"}
        with client(gateway) as http:
            return ids(http.post("/v1/jobs", json=body, headers=headers))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(click, range(32)))
    made = {job_id for answer in answers for job_id in answer}
    assert len(made) == 8
    page = asyncio.run(gateway.jobs.find(JobQuery(group="clicks", limit=100)))
    assert {job.job_id for job in page.jobs} == made


def test_a_repetition_finishes_what_was_interrupted(gateway: Serving, http: httpx.Client) -> None:
    """The state is that of a crash after the key was stored and before the jobs were stored."""
    body, key = {"urls": [URL, URL + "?2"], "group": "half"}, {"Idempotency-Key": "half"}
    made = ids(http.post("/v1/jobs", json=body, headers=key))
    jobs = gateway.jobs
    drop_jobs(gateway.job_file)
    again = http.post("/v1/jobs", json=body, headers=key)
    assert ids(again) == made
    page = asyncio.run(jobs.find(JobQuery(group="half")))
    assert sorted(job.job_id for job in page.jobs) == sorted(made)


def test_a_repetition_does_not_bring_back_what_was_deleted(http: httpx.Client) -> None:
    key = {"Idempotency-Key": "gone"}
    [made] = ids(http.post("/v1/jobs", json={"url": URL}, headers=key))
    assert http.delete(f"/v1/jobs/{made}").status_code == 204
    assert ids(http.post("/v1/jobs", json={"url": URL}, headers=key)) == [made]
    assert http.get(f"/v1/jobs/{made}").status_code == 404


@pytest.mark.parametrize("key", ["", "k" * 256, "sch\xf6n", "tab\there"])
def test_keys_that_are_none(http: httpx.Client, key: str) -> None:
    headers = [("Idempotency-Key", key.encode("latin-1"))]
    answer = http.post("/v1/jobs", json={"url": URL}, headers=headers)
    assert problem(answer) == (422, "invalid-request")


def test_a_photo_whose_event_kafka_refuses_is_refused(tmp_path: Path) -> None:
    class Narrow:
        async def publish_all(self, _events: object) -> None:
            raise EventTooLarge("Broker: Message size too large")

        async def check(self) -> None: ...

    with (
        serving(tmp_path, BrokerUrl("127.0.0.1:1"), publisher=Narrow()) as narrow,
        client(narrow) as http,
    ):
        answer = http.post("/v1/jobs", files={"files": JPEG})
        assert problem(answer) == (413, "event-too-large")
        page = asyncio.run(narrow.jobs.find(JobQuery(statuses=frozenset({"deleted"}))))
        assert len(page.jobs) == 1
        assert narrow.artifacts.list("incoming/") == []
        assert asyncio.run(narrow.jobs.find(JobQuery())).jobs == ()
