"""The command line's client side, as a process, against a real gateway."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from serving import GRAPH, Serving, embedded_broker, serving

from lookstream.client import Client
from lookstream.errors import GatewayUnreachable, JobNotFound, RequestRefused
from storage.jobs import JobQuery, StageCompleted, StageError, StageGaveUp
from tests.polling import until

NOBODY = "01a20801-845d-768b-82dd-f448762e99cb"
COMMAND = "from lookstream.cli import app; app()"
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        yield running


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "deep/c.webp", "notes.txt"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a photo")
    return tmp_path / "photos"


def lookstream(gateway: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        env={**os.environ, "LOOKSTREAM_GATEWAY": gateway, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def finish(gateway: Serving, job_id: str, *, failing: bool = False) -> None:
    now = datetime.now(UTC)
    wanted = GRAPH.closure(["captioning"])
    error = StageError("validation", "rejected", "not-an-image", "no picture")
    updates = (
        [StageGaveUp(job_id, 1, now, error, wanted, ("captioning",))]
        if failing
        else [StageCompleted(job_id, 1, now, stage, {}, wanted) for stage in wanted]
    )
    asyncio.run(gateway.jobs.apply(updates))


def test_directories_are_walked_for_photos_in_order(gateway: Serving, photos: Path) -> None:
    ran = lookstream(gateway.url, "submit", photos, "https://example.com/d.jpg", "--json")
    assert ran.returncode == 0, ran.stderr
    jobs = json.loads(ran.stdout)["jobs"]
    names = [Path(job["photo"]).name for job in jobs]
    assert names == ["a.PNG", "b.jpg", "c.webp", "d.jpg"]
    assert {job["status"] for job in jobs} == {"pending"}


def test_one_that_is_refused_fails_alone(gateway: Serving, photos: Path) -> None:
    (photos / "empty.jpg").touch()
    ran = lookstream(gateway.url, "submit", photos / "b.jpg", photos / "empty.jpg", "--json")
    assert ran.returncode == 1
    accepted, refused = json.loads(ran.stdout)["jobs"]
    assert accepted["job_id"]
    assert refused["error"]["code"] == "empty-file"
    shown = lookstream(gateway.url, "submit", photos / "empty.jpg")
    assert "empty-file" in shown.stdout
    assert "1 refused" in shown.stdout


def test_waiting_ends_with_the_jobs(gateway: Serving, photos: Path) -> None:
    known = Client(gateway.url)
    entry = known.submit_file(photos / "b.jpg", stages=["captioning"])
    finish(gateway, entry["job_id"])
    ran = lookstream(gateway.url, "status", "--wait", "--json", entry["job_id"])
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["jobs"][0]["status"] == "completed"
    assert known.wait(entry["job_id"])["status"] == "completed"
    known.close()


def test_a_failed_job_is_shown_with_its_cause(gateway: Serving, photos: Path) -> None:
    with Client(gateway.url) as known:
        entry = known.submit_file(photos / "b.jpg", stages=["captioning"])
    finish(gateway, entry["job_id"], failing=True)
    ran = lookstream(gateway.url, "status", entry["job_id"])
    assert ran.returncode == 1
    assert "not-an-image: no picture" in ran.stdout


def test_ctrl_c_ends_the_waiting(gateway: Serving, photos: Path) -> None:
    everything = JobQuery(limit=500)
    before = len(asyncio.run(gateway.jobs.find(everything)).jobs)
    command = [sys.executable, "-c", COMMAND, "submit", "--wait", str(photos / "b.jpg")]
    env = {**os.environ, "LOOKSTREAM_GATEWAY": gateway.url}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    until(lambda: len(asyncio.run(gateway.jobs.find(everything)).jobs) > before, timeout_s=30)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_info_is_what_the_gateway_says(gateway: Serving) -> None:
    ran = lookstream(gateway.url, "info", "--json")
    assert json.loads(ran.stdout)["kafka"] == gateway.broker.bootstrap
    assert gateway.broker.bootstrap in lookstream(gateway.url, "info").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit", "/no/such/file"], "no such file"),
        (["submit", "https://example.com/a.jpg", "--stages", "ironing"], "unknown-stage"),
        (["status", NOBODY], "job-not-found"),
        (["submit"], "Missing argument"),
    ],
)
def test_what_cannot_be_done_exits_with_two(
    gateway: Serving, arguments: list[str], said: str
) -> None:
    ran = lookstream(gateway.url, *arguments)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_nobody_there_exits_with_two(photos: Path) -> None:
    for arguments in (["info"], ["submit", str(photos)], ["status", NOBODY]):
        ran = lookstream(NOWHERE, *arguments)
        assert ran.returncode == 2
        assert "no answer from" in ran.stderr
        assert "Traceback" not in ran.stderr


def test_typed_errors(gateway: Serving) -> None:
    with Client(gateway.url) as known:
        with pytest.raises(JobNotFound):
            known.job(NOBODY)
        with pytest.raises(RequestRefused) as refused:
            known.submit_url("ftp://example.com/a.jpg")
        assert (refused.value.code, refused.value.status) == ("url-not-allowed", 422)
    with Client(NOWHERE) as known, pytest.raises(GatewayUnreachable):
        known.info()


def test_the_clients_side_loads_nothing_heavy() -> None:
    code = (
        "import sys, lookstream.cli, lookstream.submitting, lookstream.tables;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    heavy = {"torch", "faust", "fastapi", "starlette", "numpy", "confluent_kafka", "mediapipe"}
    assert heavy.isdisjoint(loaded)
