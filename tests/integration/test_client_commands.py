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

import httpx
import pytest
from lookstream_client.cli import command_line
from prometheus_client.parser import text_string_to_metric_families
from serving import GRAPH, Serving, embedded_broker, serving
from typer.testing import CliRunner

from lookstream import Client
from storage.jobs.store import JobQuery, StageCompleted, StageError, StageFailure
from tests.polling import until
from tests.vectors import along, like

NOBODY = "01a20801-845d-768b-82dd-f448762e99cb"
COMMAND = "from lookstream_client.cli import main; main()"
app = command_line()
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


def submitted(gateway: Serving, photo: Path) -> str:
    with Client(gateway.url) as client:
        return client.submit(photo, stages=["captioning"]).job_id


def lookstream(
    gateway: str, *arguments: str | Path, said: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        input=said,
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
        [StageFailure(job_id, 1, now, error, wanted, ("captioning",))]
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


def test_a_refused_photo_fails_alone(gateway: Serving, photos: Path) -> None:
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
    job_id = submitted(gateway, photos / "b.jpg")
    finish(gateway, job_id)
    ran = lookstream(gateway.url, "status", "--wait", "--json", job_id)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["jobs"][0]["status"] == "completed"


def test_a_failed_job_is_shown_with_its_cause(gateway: Serving, photos: Path) -> None:
    job_id = submitted(gateway, photos / "b.jpg")
    finish(gateway, job_id, failing=True)
    for command in (["status"], ["status", "--watch"], ["status", "--watch", "--json"]):
        ran = lookstream(gateway.url, *command, job_id)
        assert ran.returncode == 1
        assert "not-an-image" in ran.stdout
    assert json.loads(ran.stdout.splitlines()[-1])["status"] == "failed"


def test_a_photo_without_a_garment_is_named_so(gateway: Serving, photos: Path) -> None:
    job_id = submitted(gateway, photos / "b.jpg")
    result = {"caption": "", "needs_review": True, "model": "m"}
    done = StageCompleted(job_id, 1, datetime.now(UTC), "captioning", result, ("captioning",))
    asyncio.run(gateway.jobs.apply([done]))
    for command in (["status", job_id], ["list", "--limit", "1"]):
        assert "No garment found" in lookstream(gateway.url, *command).stdout


def test_ctrl_c_ends_the_waiting(gateway: Serving, photos: Path) -> None:
    everything = JobQuery(limit=500)
    before = len(asyncio.run(gateway.jobs.find(everything)).jobs)
    command = [sys.executable, "-c", COMMAND, "submit", "--wait", "--again", str(photos / "b.jpg")]
    env = {**os.environ, "LOOKSTREAM_GATEWAY": gateway.url}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    until(lambda: len(asyncio.run(gateway.jobs.find(everything)).jobs) > before, timeout_s=30)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_info_shows_the_gateways_kafka_address(gateway: Serving) -> None:
    ran = lookstream(gateway.url, "info", "--json")
    assert json.loads(ran.stdout)["kafka"] == gateway.broker.bootstrap
    assert gateway.broker.bootstrap in lookstream(gateway.url, "info").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit", "/no/such/file"], "no such file"),
        (["submit", "https://example.com/a.jpg", "--stages", "ironing"], "unknown-stage"),
        (["status", NOBODY], "job-not-found"),
        (["submit"], "name files, directories or URLs"),
        (["submit", "--from-file", "/no/such/list"], "--from-file"),
        (["submit", "https://example.com/a.jpg", "--metadata", "sku"], "NAME=VALUE"),
        (["submit", "https://example.com/a.jpg", "--lane", "fast"], "interactive"),
        (["status"], "name jobs"),
        (["status", "--watch", NOBODY], "job-not-found"),
        (["show", NOBODY], "job-not-found"),
        (["download", NOBODY], "job-not-found"),
        (["delete", NOBODY], "--yes"),
        (["delete", NOBODY, "--yes"], "job-not-found"),
        (["rerun", NOBODY], "job-not-found"),
        (["list", "--since", "yesterday"], "2h"),
    ],
)
def test_invalid_commands_exit_with_two(gateway: Serving, arguments: list[str], said: str) -> None:
    ran = CliRunner().invoke(app, arguments, env={"LOOKSTREAM_GATEWAY": gateway.url})
    assert ran.exit_code == 2
    assert isinstance(ran.exception, SystemExit)
    assert said in ran.stderr


def test_an_unreachable_gateway_exits_with_two(photos: Path) -> None:
    for arguments in (["info"], ["submit", str(photos)], ["status", NOBODY]):
        ran = CliRunner().invoke(app, arguments, env={"LOOKSTREAM_GATEWAY": NOWHERE})
        assert ran.exit_code == 2
        assert isinstance(ran.exception, SystemExit)
        assert "no answer from" in ran.stderr


def test_photos_can_come_from_files_stdin_and_patterns(gateway: Serving, photos: Path) -> None:
    urls = "# of today\n\nhttps://example.com/1.jpg\n"
    listed = photos / "urls.txt"
    listed.write_text(urls)
    pattern = str(photos / "**" / "*.jp*g")
    ran = lookstream(
        gateway.url, "submit", pattern, "-", "--from-file", listed, "--json", said=urls
    )
    assert ran.returncode == 0, ran.stderr
    names = [Path(job["photo"]).name for job in json.loads(ran.stdout)["jobs"]]
    assert names == ["b.jpg", "1.jpg", "1.jpg"]


def test_submitting_again_returns_the_same_job(gateway: Serving, photos: Path) -> None:
    def run(*more: str) -> list[str]:
        ran = lookstream(gateway.url, "submit", photos / "b.jpg", "--group", "twice", *more)
        listing = lookstream(gateway.url, "list", "--group", "twice", "--json")
        assert ran.returncode == listing.returncode == 0, ran.stderr
        return [job["job_id"] for job in json.loads(listing.stdout)["jobs"]]

    assert run() == run()
    assert len(run("--again")) == 2


def test_metadata_and_group_are_shown(gateway: Serving, photos: Path) -> None:
    options = ["--group", "shown", "--metadata", "sku=A=7", "--metadata", "season=26"]
    ran = lookstream(
        gateway.url, "submit", photos / "b.jpg", "--lane", "bulk", "--json", "--again", *options
    )
    job_id = json.loads(ran.stdout)["jobs"][0]["job_id"]
    shown = json.loads(lookstream(gateway.url, "show", job_id, "--json").stdout)
    assert shown["metadata"] == {"sku": "A=7", "season": "26"}
    assert (shown["group"], shown["lane"]) == ("shown", "bulk")
    table = lookstream(gateway.url, "show", job_id).stdout
    assert "A=7" in table
    listing = lookstream(gateway.url, "list", "--group", "shown", "--since", "1h", "--counts")
    assert job_id in listing.stdout
    assert "1 in total: 1 pending" in listing.stdout


def test_all_of_a_long_list(gateway: Serving) -> None:
    with Client(gateway.url) as client:
        client.submit_all([f"https://example.com/{n}" for n in range(5)], group="long")
    for limit, expected in (("3", 3), ("0", 5)):
        arguments = ["list", "--group", "long", "--limit", limit, "--counts", "--json"]
        told = json.loads(lookstream(gateway.url, *arguments).stdout)
        assert len(told["jobs"]) == expected
        assert told["counts"]["total"] == 5


def test_missing_jobs_are_named_by_download_and_delete(
    gateway: Serving, photos: Path, tmp_path: Path
) -> None:
    job_id = submitted(gateway, photos / "a.PNG")
    ran = lookstream(gateway.url, "download", NOBODY, job_id, "-o", tmp_path, "--json")
    assert ran.returncode == 2
    assert "job-not-found" in ran.stderr
    assert json.loads(ran.stdout)["files"] == [str(tmp_path / job_id / "job.json")]
    ran = lookstream(gateway.url, "delete", NOBODY, job_id, "--yes", "--json")
    assert (ran.returncode, json.loads(ran.stdout)) == (2, {"deleted": [job_id]})


def test_similar_photos_are_listed(gateway: Serving, photos: Path) -> None:
    now, wanted = datetime.now(UTC), GRAPH.closure(["classification"])
    made = [submitted(gateway, photos / name) for name in ("a.PNG", "b.jpg", "deep/c.webp")]
    for job_id, vector in zip(made, (along(0), like(0.25), like(0.5)), strict=True):
        said = {"top5": [], "model": "commands", "embedding": vector}
        done = StageCompleted(job_id, 1, now, "classification", said, wanted)
        asyncio.run(gateway.jobs.apply([done]))
    ran = lookstream(gateway.url, "similar", made[0], "--json", "--limit", "1")
    assert ran.returncode == 0, ran.stderr
    assert [each["job_id"] for each in json.loads(ran.stdout)["jobs"]] == [made[2]]
    shown = lookstream(gateway.url, "similar", made[0]).stdout.splitlines()
    assert [line.split()[:2] for line in shown[1:]] == [[made[2], "0.500"], [made[1], "0.250"]]
    ran = lookstream(gateway.url, "similar", submitted(gateway, photos / "a.PNG"))
    assert ran.returncode == 2
    assert "no-embedding" in ran.stderr


def test_running_again(gateway: Serving) -> None:
    with Client(gateway.url) as client:
        job_id = client.submit("https://example.com/again.jpg").job_id
    ran = lookstream(gateway.url, "rerun", job_id, "--stages", "captioning", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["runs"][0]["run"] == 2


def test_watching_a_group_until_ctrl_c(gateway: Serving) -> None:
    command = [sys.executable, "-c", COMMAND, "status", "--watch", "--group", "watched"]
    env = {**os.environ, "LOOKSTREAM_GATEWAY": gateway.url}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    until(lambda: listeners(gateway) > 0, timeout_s=30)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_shell_completion_works() -> None:
    env = {**os.environ, "_LOOKSTREAM_COMPLETE": "complete_bash", "COMP_WORDS": "lookstream sub"}
    ran = subprocess.run(
        [Path(sys.executable).with_name("lookstream")],
        env={**env, "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "submit" in ran.stdout


def listeners(gateway: Serving) -> float:
    page = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
    return next(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "lookstream_gateway_sse_listeners"
    )


def test_the_client_loads_no_server_packages() -> None:
    code = (
        "import sys, lookstream_client;"
        "import lookstream_client.cli, lookstream_client.display, lookstream_client.client;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    heavy = {"torch", "faust", "fastapi", "starlette", "numpy", "confluent_kafka", "mediapipe"}
    assert heavy.isdisjoint(loaded)
