"""The gateway over HTTP: real server, real stores, the embedded broker."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from asking import JPEG, NOBODY, apply, client, completed, problem, submit
from serving import GRAPH, LIMITS, Serving, embedded_broker, first_message, serving

from storage.jobs.store import StageError, StageFailure
from streams.broker.connection import BrokerUrl
from tests.polling import until


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        yield running


@pytest.fixture
def http(gateway: Serving) -> Iterator[httpx.Client]:
    with client(gateway) as http:
        yield http


def test_an_upload_is_stored_recorded_and_published(gateway: Serving, http: httpx.Client) -> None:
    [entry] = submit(http, JPEG, stages="shots")
    job_id = entry["job_id"]
    assert entry["status"] == "pending"
    assert gateway.artifacts.get(f"incoming/{job_id}") == JPEG
    job = http.get(entry["links"]["self"]).json()
    assert (job["status"], job["run"], job["lane"]) == ("pending", 1, "interactive")
    assert list(job["stages"]) == ["validation", "pose", "shots"]
    assert job["source"] == {"object": f"incoming/{job_id}"}
    event = json.loads(first_message(gateway.broker, "image-submitted", job_id).value())
    assert event["source"]["object"] == f"incoming/{job_id}"
    assert event["stages"] == ["validation", "pose", "shots"]


def test_the_callers_trace_is_in_the_event(gateway: Serving, http: httpx.Client) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = {"url": "https://example.com/a.jpg", "force": True}
    answer = http.post("/v1/jobs", json=body, headers={"traceparent": trace})
    job_id = answer.json()["jobs"][0]["job_id"]
    record = first_message(gateway.broker, "image-submitted", job_id)
    assert ("ce_traceparent", trace.encode()) in (record.headers() or [])
    assert json.loads(record.value())["force"] is True


def test_several_photos_are_answered_in_order_and_fail_alone(http: httpx.Client) -> None:
    entries = submit(http, JPEG, b"", b"x" * (LIMITS.max_bytes + 1), JPEG)
    assert [entry.get("error", {}).get("code") for entry in entries] == [
        None,
        "empty-file",
        "too-large",
        None,
    ]
    urls = ["https://example.com/1.jpg", "ftp://example.com/2.jpg", "nonsense", "http://[::1"]
    answer = http.post("/v1/jobs", json={"urls": urls, "image_base64": "%%"})
    assert answer.status_code == 202
    codes = [entry.get("error", {}).get("code") for entry in answer.json()["jobs"]]
    assert codes == [None, "url-not-allowed", "url-invalid", "url-invalid", "base64-invalid"]


def test_base64_and_data_urls_are_uploads(gateway: Serving, http: httpx.Client) -> None:
    text = base64.b64encode(JPEG).decode()
    for given in (text, f"data:image/jpeg;base64,{text}"):
        entry = http.post("/v1/jobs", json={"image_base64": given}).json()["jobs"][0]
        assert gateway.artifacts.get(f"incoming/{entry['job_id']}") == JPEG


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"url": "ftp://example.com/a.jpg"}, 422, "url-not-allowed"),
        ({"url": "not a url"}, 422, "url-invalid"),
        ({"image_base64": "%%"}, 422, "base64-invalid"),
        ({"image_base64": ""}, 422, "empty-file"),
        ({"urls": []}, 422, "nothing-submitted"),
        ({"urls": ["https://example.com/a"] * 21}, 413, "too-many-photos"),
        ({"urls": "https://example.com/a"}, 422, "invalid-request"),
        ({"url": "https://example.com/a", "stages": ["ironing"]}, 422, "unknown-stage"),
        ([], 422, "invalid-request"),
    ],
)
def test_a_request_that_is_wrong_as_a_whole(
    http: httpx.Client, body: object, status: int, code: str
) -> None:
    assert problem(http.post("/v1/jobs", json=body)) == (status, code)


def test_bodies_that_cannot_be_read(http: httpx.Client) -> None:
    def post(content: bytes, content_type: str) -> tuple[int, str]:
        headers = {"content-type": content_type}
        return problem(http.post("/v1/jobs", content=content, headers=headers))

    assert post(b"{", "application/json") == (400, "malformed-body")
    assert post(b"--", "multipart/form-data") == (400, "malformed-body")
    assert post(b"a=b", "application/x-www-form-urlencoded") == (415, "unsupported-media-type")
    assert problem(http.post("/v1/jobs")) == (415, "unsupported-media-type")
    assert problem(http.post("/v1/jobs", files={"files": b""})) == (422, "empty-file")
    assert problem(http.post("/v1/jobs", files={"other": b"x"})) == (422, "nothing-submitted")
    many = [("files", b"x")] * 21
    assert problem(http.post("/v1/jobs", files=many)) == (413, "too-many-photos")


def test_a_body_beyond_the_limit_is_refused_announced_or_not(http: httpx.Client) -> None:
    too_large = b"x" * (LIMITS.max_request_bytes + 1)

    def chunks() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        yield too_large

    headers = {"content-type": "multipart/form-data; boundary=b"}
    for content in (too_large, chunks()):
        answer = http.post("/v1/jobs", content=content, headers=headers)
        assert problem(answer) == (413, "too-large")


def test_unknown_jobs_paths_and_methods_are_refused(http: httpx.Client) -> None:
    assert problem(http.get(f"/v1/jobs/{NOBODY}")) == (404, "job-not-found")
    assert problem(http.get("/v1/jobs/nonsense")) == (404, "job-not-found")
    assert problem(http.get(f"/v1/jobs/{NOBODY}?wait=61")) == (422, "invalid-request")
    assert problem(http.get(f"/v1/jobs/{NOBODY}?wait=nan")) == (422, "invalid-request")
    assert problem(http.get("/v1/nothing")) == (404, "not-found")
    answer = http.delete("/v1/info")
    assert problem(answer) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "GET"
    assert http.put("/v1/jobs").headers["allow"] == "GET, POST"
    assert http.put(f"/v1/jobs/{NOBODY}").headers["allow"] == "DELETE, GET"


def test_a_long_poll_ends_with_the_job(gateway: Serving, http: httpx.Client) -> None:
    [entry] = submit(http, JPEG, stages="captioning")
    address = entry["links"]["self"]
    assert http.get(f"{address}?wait=0.05").json()["status"] == "pending"
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(http.get, f"{address}?wait=30")
        apply(gateway, *completed(entry["job_id"], GRAPH.closure(["captioning"])))
        answer = waiting.result()
    assert answer.json()["status"] == "completed"
    assert answer.headers["cache-control"] == "no-store"


def test_a_failed_job_has_the_stage_and_the_reason(gateway: Serving, http: httpx.Client) -> None:
    [entry] = submit(http, JPEG)
    error = StageError("validation", "rejected", "not-an-image", "this is no picture", "secret")
    blocks = GRAPH.downstream("validation")
    now = datetime.now(UTC)
    apply(gateway, StageFailure(entry["job_id"], 1, now, error, GRAPH.names, blocks))
    job = http.get(entry["links"]["self"]).json()
    expected = {"stage": "validation", "code": "not-an-image", "message": "this is no picture"}
    assert (job["status"], job["error"]) == ("failed", expected)
    assert job["stages"]["validation"]["error"] == expected
    assert job["stages"]["pose"]["status"] == "skipped"


def test_a_photo_is_accepted_while_kafka_is_away(tmp_path: Path) -> None:
    with (
        serving(tmp_path, BrokerUrl("127.0.0.1:1")) as alone,
        httpx.Client(base_url=alone.url, timeout=30, trust_env=False) as http,
    ):
        [entry] = submit(http, JPEG)
        assert http.get(f"{entry['links']['self']}?wait=0.1").json()["status"] == "pending"
        ready = http.get("/health/ready")
        assert ready.status_code == 503
        body = ready.json()
        assert body["status"] == "down"
        assert body["dependencies"]["kafka"]["status"] == "down"
        assert body["dependencies"]["kafka"]["reason"]
        assert body["dependencies"]["artifacts"] == {"status": "up"}
        assert "lookstream_gateway_unpublished_total 1.0" in http.get("/metrics").text


def test_info_and_health_checks(gateway: Serving, http: httpx.Client) -> None:
    assert http.get("/v1/info").json() == {
        "gateway": gateway.url,
        "kafka": gateway.broker.bootstrap,
        "artifacts": "file:///artifacts",
        "jobs": "sqlite:///jobs",
    }
    assert http.get("/health/live").json() == {"status": "up"}
    up = {"status": "up"}
    until(lambda: http.get("/health/ready").status_code == 200)
    assert http.get("/health/ready").json() == {
        "status": "up",
        "dependencies": {"kafka": up, "artifacts": up, "jobs": up},
    }


def test_metrics_count_by_route_template(http: httpx.Client) -> None:
    http.get(f"/v1/jobs/{NOBODY}")
    http.get("/no/such/place")
    http.post("/v1/jobs", json={"url": "nonsense"})
    text = http.get("/metrics").text
    assert 'requests_total{method="GET",route="/v1/jobs/{job_id}",status="404"}' in text
    assert 'requests_total{method="GET",route="unmatched",status="404"}' in text
    assert 'photos_total{code="url-invalid",outcome="rejected"}' in text
    assert NOBODY not in text


def test_every_answer_has_a_request_id_and_safe_headers(http: httpx.Client) -> None:
    for path in ("/", "/v1/info", "/v1/nothing"):
        headers = http.get(path, headers={"X-Request-ID": "mine-1"}).headers
        assert headers["x-request-id"] == "mine-1"
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert http.get("/", headers={"X-Request-ID": "a b"}).headers["x-request-id"] != "a b"


def test_the_openapi_document_lists_the_errors(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    post = document["paths"]["/v1/jobs"]["post"]
    assert {"202", "400", "413", "415", "422", "503"} <= set(post["responses"])
    assert set(post["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
    reference = post["responses"]["422"]["content"]["application/problem+json"]["schema"]["$ref"]
    assert reference.rpartition("/")[2] in document["components"]["schemas"]
