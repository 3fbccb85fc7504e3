"""A worker that uses a model server: outages, busy answers, refusals and fallback results."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from deploy.local.server import free_port
from storage.artifacts import keys
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from streams.broker.connection import BrokerUrl, EmbeddedBroker
from tests.acceptance.topics import attributes, find, headers, keys_of_all, publish
from tests.garments import dress, jpeg
from tests.integration import model_server
from tests.integration.model_server import ANSWER, ModelServer, busy_for, says
from tests.integration.worker_playground import ROOT
from tests.polling import until

KEY = "sk-a-secret-of-the-operator"
DONE_WITHIN_S = 60.0


class CaptioningWorker:
    """`lookstream worker captioning` on a broker and a store of its own."""

    def __init__(self, broker: str, folder: Path, **settings: str) -> None:
        self.broker = BrokerUrl.parse(broker).bootstrap
        self.model_port = free_port()
        self.store = DirectoryArtifacts(folder / "store", LinkSigner(b"0123456789abcdef", ""))
        self._page = f"http://127.0.0.1:{(port := free_port())}/health/ready"
        self._log = folder / "worker.log"
        given = {
            "LOOKSTREAM_KAFKA": broker,
            "LOOKSTREAM_ARTIFACTS": f"file://{folder / 'store'}",
            "LOOKSTREAM_HOME": str(folder),
            "LOOKSTREAM_WORKER_PORT": str(port),
            "LOOKSTREAM_CAPTIONS": "openai",
            "LOOKSTREAM_CAPTIONS_TIMEOUT_S": "20",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.model_port}/v1",
            "OPENAI_API_KEY": KEY,
            "OPENAI_MODEL_NAME": "some-model",
            **settings,
        }
        others = {k: v for k, v in os.environ.items() if not k.startswith("LOOKSTREAM_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lookstream", "worker", "captioning"],
                env={**others, **given},
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(lambda: self.waits_for() is None, DONE_WITHIN_S)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def waits_for(self) -> str | None:
        """Return why the stage is not ready; None if it is ready."""
        assert self._process.poll() is None, self.log
        with contextlib.suppress(OSError), contextlib.closing(self._asked()) as answer:
            reason: str | None = json.load(answer)["stages"].get("captioning")
            return reason
        return "its page is not there yet"

    def _asked(self) -> Any:
        try:
            return urllib.request.urlopen(self._page, timeout=5)
        except HTTPError as error:  # 503 has a body as well
            return error

    def submit(self, number: int) -> str:
        """Publish `image-validated`; return the job id."""
        job_id, sha256 = str(uuid.uuid4()), f"{number:064}"
        self.store.put(keys.working(sha256), jpeg(dress((90, 120 + number))))
        data = {
            "job_id": job_id, "sha256": sha256, "perceptual_hash": "0" * 16, "format": "JPEG",
            "original": keys.original(sha256), "working": keys.working(sha256),
            "width": 90, "height": 120, "bytes": 1000,
        }  # fmt: skip
        named = headers(attributes(type="lookstream.image-validated.v1"))
        publish(self.broker, job_id, json.dumps(data).encode(), named, topic="image-validated")
        return job_id

    def told(self, job_id: str, topic: str = "image-captioned") -> dict[str, Any]:
        """Wait for the worker's event of a job; assert that it does not contain the key."""
        message = find(
            self.broker, topic, lambda each: each.key() == job_id.encode(), DONE_WITHIN_S
        )
        assert KEY.encode() not in repr(message.headers()).encode() + (message.value() or b"")
        data: dict[str, Any] = json.loads(message.value() or b"")
        return data

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    broker = EmbeddedBroker()
    yield str(broker)
    broker.close()


@pytest.fixture(scope="module")
def worker(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaptioningWorker]:
    worker = CaptioningWorker(broker, tmp_path_factory.mktemp("worker"))
    yield worker
    worker.stop()
    assert KEY not in worker.log


@pytest.fixture
def server(worker: CaptioningWorker) -> Iterator[ModelServer]:
    with model_server.serving(worker.model_port) as server:
        yield server


def test_photos_wait_during_an_outage(worker: CaptioningWorker) -> None:
    jobs = [worker.submit(number) for number in range(1, 4)]
    away = "captions: openai/some-model: ConnectError"
    until(lambda: worker.waits_for() == away, DONE_WITHIN_S)
    with model_server.serving(worker.model_port):
        told = [worker.told(job) for job in jobs]
    assert {each["model"] for each in told} == {"openai/some-model"}
    assert {each["caption"] for each in told} == {ANSWER["caption"]}
    assert {each["attempts"] for each in told} == {1}
    until(lambda: worker.waits_for() is None)


def test_retry_after_is_respected(worker: CaptioningWorker, server: ModelServer) -> None:
    server.behaviour = busy_for(2)
    assert worker.told(worker.submit(10))["caption"] == ANSWER["caption"]
    assert len(server.asked) == 2, "once in vain, and once when it was time"


def test_a_refusal_fails_the_job_alone(worker: CaptioningWorker, server: ModelServer) -> None:
    server.turns = [model_server.refuses]
    failure = worker.told(worker.submit(20), "stage-failed")
    assert (failure["kind"], failure["code"]) == ("rejected", "caption-refused")
    assert worker.told(worker.submit(21))["caption"] == ANSWER["caption"]


def test_nonsense_is_tried_three_times_and_then_dead_lettered(
    worker: CaptioningWorker, server: ModelServer
) -> None:
    server.behaviour = says(f"Here is your key: {KEY}")
    job = worker.submit(30)
    failure = worker.told(job, "stage-failed")
    assert (failure["kind"], failure["code"]) == ("error", "caption-nonsense")
    assert failure["attempts"] == len(server.asked) == 3
    letter = find(worker.broker, "dead-letters", lambda each: each.key() == job.encode())
    assert KEY not in repr(letter.headers())
    assert len(keys_of_all(worker.broker, "dead-letters")) == 1


@pytest.mark.parametrize(
    ("command", "setting", "said"),
    [
        (["worker", "captioning"], "gemini", "LOOKSTREAM_CAPTIONS=gemini needs GEMINI_API_KEY"),
        (["up"], "gemini", "LOOKSTREAM_CAPTIONS=gemini needs GEMINI_API_KEY"),
        (["worker", "captioning"], "eyes", "LOOKSTREAM_CAPTIONS: Input should be"),
    ],
)
def test_incomplete_settings_end_the_process_with_a_message(
    command: list[str], setting: str, said: str, tmp_path: Path
) -> None:
    settings = {"LOOKSTREAM_CAPTIONS": setting, "GEMINI_API_KEY": "", "GEMINI_MODEL_NAME": "m"}
    done = subprocess.run(
        [sys.executable, "-m", "lookstream", *command],
        env={**os.environ, "LOOKSTREAM_HOME": str(tmp_path), **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"lookstream: {said}")
    assert len(done.stderr.splitlines()) == 1


def test_a_fallback_caption_is_not_cached_and_the_models_caption_is(
    broker: str, tmp_path: Path, worker: CaptioningWorker
) -> None:
    worker.stop()  # of the same group
    worker = CaptioningWorker(broker, tmp_path, LOOKSTREAM_CAPTIONS_FALLBACK="local")
    try:
        with model_server.serving(worker.model_port) as server:
            server.turns = [model_server.refuses]
            stopgap = worker.told(worker.submit(40))
            assert stopgap["model"].startswith("garment-")
            assert not stopgap["reused"]
            chosen = worker.told(worker.submit(40))
            assert (chosen["model"], chosen["reused"]) == ("openai/some-model", False)
            again = worker.told(worker.submit(40))
            assert (again["model"], again["reused"]) == ("openai/some-model", True)
            assert len(server.asked) == 2
    finally:
        worker.stop()
    assert KEY not in worker.log
