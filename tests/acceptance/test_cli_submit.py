"""`lookstream submit`, interrupted and repeated: each photo has one job."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from tests.acceptance.line import Line
from tests.acceptance.photos import photos, pixels
from tests.acceptance.system import System
from tests.polling import until

COUNT = 60


def test_repeating_an_interrupted_submit_makes_no_duplicates(
    system: System, tmp_path: Path
) -> None:
    group = f"interrupted {uuid.uuid4()}"
    contents = photos(group, COUNT)
    for number, content in enumerate(contents):
        (tmp_path / f"{number:03}.jpg").write_bytes(content)
    command = ["submit", str(tmp_path), "--group", group, "--stages", "thumbnailing", "--wait"]
    with Line.to(system.gateway, sum(map(len, contents)) // 2) as line:
        process = subprocess.Popen(
            [sys.executable, "-m", "lookstream", *command],
            env=system.environment(LOOKSTREAM_GATEWAY=line.url),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        until(lambda: total(system, group) > 0)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        told = re.search(rf"interrupted; (\d+) of {COUNT} photos are submitted", said)
        assert told, said
        half = {job["job_id"] for job in listed(system, group)}
        assert int(told[1]) <= len(half) < COUNT

        line.mend()
        again = system.cli(*command, "--json", "--gateway", line.url)
    assert again.returncode == 0, again.stderr
    jobs = json.loads(again.stdout)["jobs"]
    assert {job["status"] for job in jobs} == {"completed"}
    assert len({job["job_id"] for job in jobs}) == COUNT
    assert half < {job["job_id"] for job in jobs}
    assert total(system, group) == COUNT


def test_the_option_again_makes_new_jobs(system: System, tmp_path: Path) -> None:
    group = f"again {uuid.uuid4()}"
    (tmp_path / "one.jpg").write_bytes(photos(group, 1)[0])
    for more in ([], [], ["--again"]):
        ran = system.cli("submit", str(tmp_path), "--group", group, "--wait", *more)
        assert ran.returncode == 0, ran.stderr
    assert total(system, group) == 2


def test_all_client_commands_on_one_job(system: System, tmp_path: Path) -> None:
    """Submit, watch, list, show, download, run again and delete."""
    group = f"all of it {uuid.uuid4()}"
    path = tmp_path / "dress.jpg"
    path.write_bytes(photos(group, 1)[0])
    ran = system.cli("submit", str(path), "--group", group, "--json")
    (job_id,) = [job["job_id"] for job in json.loads(ran.stdout)["jobs"]]

    watched = system.cli("status", "--watch", "--json", job_id)
    assert watched.returncode == 0, watched.stderr
    changes = [json.loads(line) for line in watched.stdout.splitlines()]
    assert changes[-1]["status"] == "completed"
    assert [change["revision"] for change in changes] == sorted(
        {change["revision"] for change in changes}
    )

    assert [job["job_id"] for job in listed(system, group)] == [job_id]
    assert system.job(job_id)["caption"] in system.cli("show", job_id).stdout  # type: ignore[index]

    fetched = system.cli("download", job_id, "-o", str(tmp_path / "out"), "--untouched")
    assert fetched.returncode == 0, fetched.stderr
    files = {file.name: file for file in map(Path, fetched.stdout.splitlines())}
    assert pixels(files["dress.jpg"].read_bytes()) == pixels(path.read_bytes())
    assert {"dress-annotated.jpg", "job.json"} < set(files)
    assert files["dress-untouched.jpg"].read_bytes() == path.read_bytes()
    assert all(file.stat().st_size > 0 for file in files.values())

    assert system.cli("rerun", job_id, "--stages", "captioning").returncode == 0
    again = until(lambda: completed_run(system, job_id, 2))
    assert again["stages"]["captioning"]["reused"]

    assert system.cli("delete", job_id, "--yes").returncode == 0
    assert system.cli("show", job_id).returncode == 2
    assert total(system, group) == 0


def completed_run(system: System, job_id: str, run: int) -> dict[str, dict[str, dict[str, bool]]]:
    job = system.job(job_id) or {}
    return job if (job.get("run"), job.get("status")) == (run, "completed") else {}


def total(system: System, group: str) -> int:
    with system.http() as http:
        answer = http.get("/v1/jobs", params={"group": group, "counts": "true", "limit": 1})
    counted: int = answer.json()["counts"]["total"]
    return counted


def listed(system: System, group: str) -> list[dict[str, str]]:
    ran = system.cli("list", "--group", group, "--limit", "0", "--json")
    assert ran.returncode == 0, ran.stderr
    jobs: list[dict[str, str]] = json.loads(ran.stdout)["jobs"]
    return jobs
