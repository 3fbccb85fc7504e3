"""Deleting a job and running it again, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from asking import JPEG, NOBODY, apply, client, completed, problem, submit, validated
from serving import GRAPH, Serving, embedded_broker, first_message, serving

from storage.artifacts import keys
from storage.jobs.store import Deleted, StageError, StageFailure, Submitted
from streams.broker.connection import BrokerUrl


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        yield running


@pytest.fixture
def http(gateway: Serving) -> Iterator[httpx.Client]:
    with client(gateway) as http:
        yield http


def finished(gateway: Serving, http: httpx.Client, content: bytes) -> str:
    """Return a job that is done, with all its artifacts."""
    [entry] = submit(http, content, group="shop", metadata='{"sku": 7}')
    job_id = str(entry["job_id"])
    gateway.artifacts.delete(keys.incoming(job_id))
    apply(gateway, *completed(job_id, validation=validated(gateway, content)))
    return job_id


def kept(gateway: Serving) -> list[str]:
    return gateway.artifacts.list()


def test_a_deleted_job_is_gone_with_its_artifacts(gateway: Serving, http: httpx.Client) -> None:
    before = kept(gateway)
    job_id = finished(gateway, http, b"a photo to delete")
    link = http.get(f"/v1/jobs/{job_id}").json()["original"]["url"]
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert problem(http.get(f"/v1/jobs/{job_id}?wait=1")) == (404, "job-not-found")
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert http.get(link).status_code == 404
    assert kept(gateway) == before
    event = first_message(gateway.broker, "job-deleted", job_id)
    assert json.loads(event.value() or b"")["job_id"] == job_id


def test_the_link_of_a_job_leads_to_the_copy_without_metadata(
    gateway: Serving, http: httpx.Client
) -> None:
    content = b"a photo with its place"
    [entry] = submit(http, content)
    job_id = str(entry["job_id"])
    assert problem(http.get(f"/v1/jobs/{job_id}/original")) == (404, "artifact-not-found")
    result = {**validated(gateway, content), "copy_format": "JPEG"}
    gateway.artifacts.put(keys.copy(result["sha256"], "JPEG"), b"clean", content_type="image/jpeg")
    apply(gateway, *completed(job_id, validation=result))
    original = http.get(f"/v1/jobs/{job_id}").json()["original"]
    assert http.get(original["url"]).content == b"clean"
    untouched = http.get(f"/v1/jobs/{job_id}/original")
    assert untouched.status_code == 307
    assert http.get(untouched.headers["location"]).content == content
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert not gateway.artifacts.exists(keys.copy(result["sha256"], "JPEG"))


def test_a_shared_photo_is_erased_with_its_last_job(gateway: Serving, http: httpx.Client) -> None:
    before = kept(gateway)
    one, other = (finished(gateway, http, b"shared") for _ in range(2))
    http.delete(f"/v1/jobs/{one}")
    original = http.get(f"/v1/jobs/{other}").json()["original"]["url"]
    assert http.get(original).content == b"shared"
    http.delete(f"/v1/jobs/{other}")
    assert kept(gateway) == before


def test_a_job_in_flight_is_cancelled_and_late_events_leave_it_deleted(
    gateway: Serving, http: httpx.Client
) -> None:
    [entry] = submit(http, JPEG)
    job_id = entry["job_id"]
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert not gateway.artifacts.exists(keys.incoming(job_id))
    apply(gateway, *completed(job_id))
    assert http.get(f"/v1/jobs/{job_id}").status_code == 404


def test_deleting_again_finishes_what_was_interrupted(gateway: Serving, http: httpx.Client) -> None:
    """The state is that of a crash between deleting the job and erasing its artifacts."""
    before = kept(gateway)
    job_id = finished(gateway, http, b"interrupted")
    note = {"source": {}, "sha256": http.get(f"/v1/jobs/{job_id}").json()["original"]["sha256"]}
    gateway.artifacts.put(keys.erasure(job_id), json.dumps(note).encode())
    apply(gateway, Deleted(job_id, 1, datetime.now(UTC)))
    assert kept(gateway) != before
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert kept(gateway) == before


def test_content_unknown_to_the_job_is_erased(gateway: Serving, http: httpx.Client) -> None:
    before = kept(gateway)
    [entry] = submit(http, b"just validated")
    incoming = keys.incoming(entry["job_id"])
    found = validated(gateway, b"just validated")
    memory = json.dumps({"sha256": found["sha256"]}).encode()
    gateway.artifacts.put(keys.source_record(incoming), memory)
    http.delete(f"/v1/jobs/{entry['job_id']}")
    assert kept(gateway) == before


def test_jobs_that_are_not_there_cannot_be_deleted(http: httpx.Client) -> None:
    assert problem(http.delete(f"/v1/jobs/{NOBODY}")) == (404, "job-not-found")
    assert problem(http.delete("/v1/jobs/nonsense")) == (404, "job-not-found")


def test_a_job_is_deleted_while_kafka_is_away(tmp_path: Path) -> None:
    with serving(tmp_path, BrokerUrl("127.0.0.1:1")) as alone, client(alone) as http:
        [entry] = submit(http, JPEG)
        assert http.delete(entry["links"]["self"]).status_code == 204
        assert http.get(entry["links"]["self"]).status_code == 404
        assert kept(alone) == [keys.erasure(entry["job_id"])]  # the sweeper publishes it later


def test_running_again_goes_on_from_what_validation_found(
    gateway: Serving, http: httpx.Client
) -> None:
    job_id = finished(gateway, http, b"run again")
    answer = http.post(f"/v1/jobs/{job_id}/runs")
    assert answer.status_code == 202
    links = {"self": f"/v1/jobs/{job_id}", "page": f"/#{job_id}"}
    assert answer.json() == {"job_id": job_id, "run": 2, "status": "pending", "links": links}
    job = http.get(f"/v1/jobs/{job_id}").json()
    assert (job["run"], job["status"], job["group"]) == (2, "pending", "shop")
    assert {stage["status"] for stage in job["stages"].values()} == {"pending"}
    assert job["original"]["bytes"] == len(b"run again")
    event = json.loads(first_message(gateway.broker, "image-validated", job_id).value() or b"")
    assert (event["run"], event["force"], event["reused"]) == (2, False, True)
    assert event["stages"] == list(GRAPH.names)
    assert event["sha256"] == job["original"]["sha256"]


def test_some_stages_run_again_by_force(gateway: Serving, http: httpx.Client) -> None:
    job_id = finished(gateway, http, b"run some again")
    body = {"stages": ["shots"], "force": True}
    assert http.post(f"/v1/jobs/{job_id}/runs", json=body).json()["run"] == 2
    event = json.loads(first_message(gateway.broker, "image-validated", job_id).value() or b"")
    assert (event["stages"], event["force"]) == (["validation", "pose", "shots"], True)
    job = http.get(f"/v1/jobs/{job_id}").json()
    assert job["stages"]["captioning"]["status"] == "completed"
    assert job["stages"]["shots"]["status"] == "pending"


def test_what_was_never_validated_is_submitted_again(gateway: Serving, http: httpx.Client) -> None:
    answer = http.post("/v1/jobs", json={"url": "https://example.com/a.jpg", "group": "g"})
    job_id = answer.json()["jobs"][0]["job_id"]
    error = StageError("validation", "error", "url-timeout", "too slow")
    blocks = GRAPH.downstream("validation")
    apply(gateway, StageFailure(job_id, 1, datetime.now(UTC), error, GRAPH.names, blocks))
    assert http.post(f"/v1/jobs/{job_id}/runs").json()["run"] == 2
    job = http.get(f"/v1/jobs/{job_id}").json()
    assert (job["run"], job["status"]) == (2, "pending")
    assert "error" not in job


def test_a_photo_that_is_not_kept_cannot_run(gateway: Serving, http: httpx.Client) -> None:
    [entry] = submit(http, JPEG)
    gateway.artifacts.delete(keys.incoming(entry["job_id"]))
    hostile = Submitted(NOBODY, 1, datetime.now(UTC), {"object": "../../etc/passwd"}, GRAPH.names)
    last = finished(gateway, http, b"run for the last time")
    apply(gateway, hostile, *completed(last, run=2**31 - 1))
    for job_id in (entry["job_id"], NOBODY, last):
        answer = http.post(f"/v1/jobs/{job_id}/runs")
        assert problem(answer) == (409, "nothing-to-run")


def test_runs_that_are_refused(gateway: Serving, http: httpx.Client) -> None:
    job_id = finished(gateway, http, b"refused")
    address = f"/v1/jobs/{job_id}/runs"
    assert problem(http.post(address, json={"stages": ["ironing"]})) == (422, "unknown-stage")
    assert problem(http.post(address, json={"force": "so"})) == (422, "invalid-request")
    gone = "/v1/jobs/01a20801-845d-768b-82dd-000000000000/runs"
    assert problem(http.post(gone)) == (404, "job-not-found")
    http.delete(f"/v1/jobs/{job_id}")
    assert problem(http.post(address)) == (404, "job-not-found")


def test_a_double_click_makes_one_run(gateway: Serving, http: httpx.Client) -> None:
    job_id = finished(gateway, http, b"clicked twice")
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda _: httpx.post(f"{gateway.url}/v1/jobs/{job_id}/runs"), range(2))
    runs = [answer.json()["run"] for answer in answers]
    assert max(runs) == http.get(f"/v1/jobs/{job_id}").json()["run"]
    assert set(runs) <= {2, 3}
