"""Classifying a photo while the caller waits."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from asking import apply, client, completed, problem
from serving import GRAPH, LIMITS, Serving, embedded_broker, serving

from storage.jobs.store import StageError, StageFailure
from streams.broker.connection import BrokerUrl
from tests.polling import until

URL = "https://example.com/dress.jpg"
LABELS = ["dress", "skirt", "shirt", "coat", "jeans"]
TOP5 = [{"label": label, "probability": 0.5 / (n + 1)} for n, label in enumerate(LABELS)]
STAGES = GRAPH.closure(["classification"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        yield running


@pytest.fixture
def http(gateway: Serving) -> Iterator[httpx.Client]:
    with client(gateway) as http:
        yield http


@contextmanager
def predicting(http: httpx.Client) -> Iterator[tuple[str, Future[httpx.Response]]]:
    """Request a prediction; yield its job and the future answer."""
    known = {job["job_id"] for job in http.get("/v1/jobs").json()["jobs"]}

    def new() -> set[str]:
        return {job["job_id"] for job in http.get("/v1/jobs").json()["jobs"]} - known

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(http.post, "/v1/predict", json={"url": URL})
        yield until(new).pop(), answer


def test_the_classes_are_the_answer(gateway: Serving, http: httpx.Client) -> None:
    with predicting(http) as (job_id, answer):
        assert list(http.get(f"/v1/jobs/{job_id}").json()["stages"]) == list(STAGES)
        apply(gateway, *completed(job_id, STAGES, classification={"top5": TOP5, "model": "m1"}))
        body = answer.result().json()
    assert body == {
        "imageUrl": URL,
        "top5": LABELS,
        "prob5": [each["probability"] for each in TOP5],
        "job_id": job_id,
    }


def test_a_photo_that_fails_says_why(gateway: Serving, http: httpx.Client) -> None:
    with predicting(http) as (job_id, answer):
        error = StageError("validation", "rejected", "not-an-image", "this is no picture")
        blocks = GRAPH.downstream("validation")
        apply(gateway, StageFailure(job_id, 1, datetime.now(UTC), error, STAGES, blocks))
        failed = answer.result()
    assert problem(failed) == (422, "prediction-failed")
    assert "not-an-image: this is no picture" in failed.json()["detail"]


def test_a_job_that_is_deleted_meanwhile_has_no_prediction(http: httpx.Client) -> None:
    with predicting(http) as (job_id, answer):
        http.delete(f"/v1/jobs/{job_id}")
        assert problem(answer.result()) == (404, "job-not-found")


def test_a_prediction_timeout_names_its_job(tmp_path: Path) -> None:
    limits = replace(LIMITS, predict_s=0.1)
    with (
        serving(tmp_path, BrokerUrl("127.0.0.1:1"), limits=limits) as hasty,
        client(hasty) as http,
    ):
        answer = http.post("/v1/predict", json={"url": URL})
        assert problem(answer) == (504, "prediction-timeout")
        [job] = http.get("/v1/jobs").json()["jobs"]
        assert job["job_id"] in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-request"),
        ({"url": 7}, 422, "invalid-request"),
        ({"url": "nonsense"}, 422, "url-invalid"),
        ({"url": "file:///etc/passwd"}, 422, "url-not-allowed"),
    ],
)
def test_addresses_that_are_refused(
    http: httpx.Client, body: dict[str, object], status: int, code: str
) -> None:
    assert problem(http.post("/v1/predict", json=body)) == (status, code)
