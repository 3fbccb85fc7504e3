"""Upload by a presigned link. With the directory store, the gateway receives the bytes."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from asking import JPEG, NOBODY, apply, client, completed, problem, submit
from serving import GRAPH, LIMITS, Serving, embedded_broker, first_message, serving

from storage.jobs.store import Submitted
from tests.polling import until


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        yield running


@pytest.fixture
def http(gateway: Serving) -> Iterator[httpx.Client]:
    with client(gateway) as http:
        yield http


def begin(http: httpx.Client, **body: object) -> dict[str, str]:
    answer = http.post("/v1/uploads", json=body) if body else http.post("/v1/uploads")
    assert answer.status_code == 201, answer.text
    upload: dict[str, str] = answer.json()
    return upload


def put(upload: dict[str, str], content: bytes = JPEG) -> httpx.Response:
    return httpx.put(upload["url"], content=content, headers=upload["headers"], trust_env=False)


def test_a_photo_goes_by_its_link_and_becomes_a_job_of_the_same_id(
    gateway: Serving, http: httpx.Client
) -> None:
    upload = begin(http, content_type="image/jpeg")
    assert upload["method"] == "PUT"
    assert upload["headers"] == {"Content-Type": "image/jpeg"}
    assert upload["object"] == f"uploads/{upload['id']}"
    assert datetime.fromisoformat(upload["expires_at"]) > datetime.now(UTC)
    stored = put(upload)
    assert (stored.status_code, stored.json()) == (
        201,
        {"object": upload["object"], "bytes": len(JPEG)},
    )
    assert stored.headers["etag"]
    assert gateway.artifacts.get(upload["object"]) == JPEG
    said = {"stages": ["captioning"], "group": "g", "metadata": {"a": 1}, "lane": "bulk"}
    answer = http.post(f"/v1/uploads/{upload['id']}/complete", json=said)
    assert answer.status_code == 202
    [entry] = answer.json()["jobs"]
    assert (entry["job_id"], entry["status"]) == (upload["id"], "pending")
    job = http.get(entry["links"]["self"]).json()
    assert (job["group"], job["metadata"], job["lane"]) == ("g", {"a": 1}, "bulk")
    assert list(job["stages"]) == ["validation", "captioning"]
    event = json.loads(
        first_message(gateway.broker, "image-submitted", upload["id"]).value() or b""
    )
    assert event["source"] == {"object": upload["object"]}
    assert event["stages"] == ["validation", "captioning"]


def test_completing_again_gives_the_same_answer(gateway: Serving, http: httpx.Client) -> None:
    upload = begin(http)
    put(upload)
    address = f"/v1/uploads/{upload['id']}/complete"
    first = http.post(address, json={"stages": ["captioning"], "group": "g"})
    apply(gateway, *completed(upload["id"], GRAPH.closure(["captioning"])))
    gateway.artifacts.delete(upload["object"])  # as validation does
    for again in (http.post(address), http.post(address, json={"group": "g"})):
        assert (again.status_code, again.json()) == (202, first.json())
    job = http.get(f"/v1/jobs/{upload['id']}").json()
    assert (job["status"], job["group"], len(job["stages"])) == ("completed", "g", 2)


def test_completing_again_is_answered_also_when_the_job_was_swept(
    gateway: Serving, http: httpx.Client
) -> None:
    upload = begin(http)
    put(upload)
    address = f"/v1/uploads/{upload['id']}/complete"
    assert http.post(address).status_code == 202
    swept = {"object": "originals/" + "ab" * 32}
    apply(gateway, Submitted(upload["id"], 1, datetime.now(UTC), swept, GRAPH.names))
    assert http.post(address, json={"group": "late"}).status_code == 202
    job = http.get(f"/v1/jobs/{upload['id']}").json()
    assert (job["source"], job["group"]) == ({"object": upload["object"]}, "late")


def test_completing_adds_to_what_a_notification_began(gateway: Serving, http: httpx.Client) -> None:
    upload = begin(http)
    put(upload)
    source = {"object": upload["object"]}
    apply(gateway, Submitted(upload["id"], 1, datetime.now(UTC), source, GRAPH.names))
    answer = http.post(f"/v1/uploads/{upload['id']}/complete", json={"metadata": {"sku": 7}})
    assert answer.status_code == 202
    job = http.get(f"/v1/jobs/{upload['id']}").json()
    assert job["metadata"] == {"sku": 7}
    assert list(job["stages"]) == list(GRAPH.names)


def test_what_cannot_be_completed(gateway: Serving, http: httpx.Client) -> None:
    def complete(upload_id: str, **body: object) -> tuple[int, str]:
        return problem(http.post(f"/v1/uploads/{upload_id}/complete", json=body))

    missing = (404, "upload-not-found")
    assert complete(begin(http)["id"]) == missing
    assert complete(NOBODY) == missing
    assert complete("nonsense") == missing
    assert complete(submit(http, JPEG)[0]["job_id"]) == missing
    upload = begin(http)
    put(upload)
    assert complete(upload["id"], stages=["ironing"]) == (422, "unknown-stage")
    assert complete(upload["id"], group="\x00") == (422, "invalid-request")
    gateway.artifacts.put(upload["object"], b"")
    assert complete(upload["id"]) == (422, "empty-file")
    gateway.artifacts.put(upload["object"], b"x" * (LIMITS.max_bytes + 1))
    assert complete(upload["id"]) == (413, "too-large")
    gateway.artifacts.put(upload["object"], JPEG)
    assert http.post(f"/v1/uploads/{upload['id']}/complete").status_code == 202
    assert http.delete(f"/v1/jobs/{upload['id']}").status_code == 204
    assert complete(upload["id"]) == missing


def test_bodies_that_are_refused(gateway: Serving, http: httpx.Client) -> None:
    upload = begin(http)

    def chunks() -> Iterator[bytes]:
        for _ in range(LIMITS.max_bytes // 10_000 + 1):
            yield b"x" * 10_000

    assert problem(put(upload, b"")) == (422, "empty-file")
    assert problem(put(upload, b"x" * (LIMITS.max_bytes + 1))) == (413, "too-large")
    assert problem(put(upload, chunks())) == (413, "too-large")  # type: ignore[arg-type]
    assert not gateway.artifacts.exists(upload["object"])
    assert put(upload, b"x" * LIMITS.max_bytes).status_code == 201


def test_a_body_that_breaks_off_leaves_nothing(gateway: Serving, http: httpx.Client) -> None:
    upload = begin(http)
    address = httpx.URL(upload["url"])
    head = f"PUT {address.raw_path.decode()} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(head.encode() + b"half of it")
    ended = 'route="/v1/artifacts/{key:path}",status="400"'
    until(lambda: ended in http.get("/metrics").text)
    assert gateway.artifacts.list(upload["object"]) == []


def test_links_are_for_one_object_and_one_method(gateway: Serving, http: httpx.Client) -> None:
    upload = begin(http)
    reading = gateway.signer.sign(upload["object"], expires_s=60)
    elsewhere = gateway.signer.sign("originals/ab", expires_s=60, method="PUT")
    expired = gateway.signer.sign(upload["object"], expires_s=60, method="PUT", now=1e9)
    other = upload["url"].replace(upload["id"], NOBODY)
    for url in (reading, elsewhere, other):
        answer = httpx.put(url, content=JPEG, trust_env=False)
        assert problem(answer) == (403, "invalid-link")
    assert problem(httpx.put(expired, content=JPEG, trust_env=False)) == (403, "link-expired")
    assert problem(httpx.get(upload["url"], trust_env=False)) == (403, "invalid-link")


def test_a_link_ends_when_its_upload_is_complete(gateway: Serving, http: httpx.Client) -> None:
    upload = begin(http)
    assert put(upload, b"an earlier try").status_code == 201
    assert put(upload).status_code == 201
    assert http.post(f"/v1/uploads/{upload['id']}/complete").status_code == 202
    assert problem(put(upload, JPEG + b"!")) == (403, "link-expired")
    assert put(upload).status_code == 201, "a repetition whose answer was lost"
    assert gateway.artifacts.get(upload["object"]) == JPEG
    sha256 = hashlib.sha256(JPEG).hexdigest()
    apply(gateway, *completed(upload["id"], validation={"sha256": sha256}))
    gateway.artifacts.delete(upload["object"])  # as validation does
    assert put(upload).status_code == 201
    assert problem(put(upload, JPEG + b"!")) == (403, "link-expired")
    assert http.delete(f"/v1/jobs/{upload['id']}").status_code == 204
    assert problem(put(upload)) == (403, "link-expired")
    assert gateway.artifacts.list("uploads/" + upload["id"]) == []


def test_an_upload_that_is_announced_too_large_gets_no_link(http: httpx.Client) -> None:
    most = LIMITS.max_bytes
    assert http.post("/v1/uploads", json={"bytes": most}).status_code == 201
    assert problem(http.post("/v1/uploads", json={"bytes": most + 1})) == (413, "too-large")
    assert problem(http.post("/v1/uploads", json={"bytes": 0})) == (422, "invalid-request")


def test_what_is_said_of_an_upload_is_checked(http: httpx.Client) -> None:
    for said in (
        {"content_type": "nonsense"},
        {"content_type": "a/b\r\nX: y"},
        {"content_type": 1},
    ):
        assert problem(http.post("/v1/uploads", json=said)) == (422, "invalid-request")
    headers = {"content-type": "application/json"}
    answer = http.post("/v1/uploads", content=b"{", headers=headers)
    assert problem(answer) == (400, "malformed-body")
    answer = http.post("/v1/uploads", content=b"{}", headers={"content-type": "text/plain"})
    assert problem(answer) == (415, "unsupported-media-type")
