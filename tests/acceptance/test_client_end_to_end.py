"""The client on a running system, and the Python examples of docs/client.md."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from pathlib import Path

from lookstream_client import Replay
from lookstream_client.options import LARGE

from lookstream import Client
from tests.acceptance.photos import photo, photos, pixels
from tests.acceptance.system import System
from tests.acceptance.website import Website
from tests.polling import until

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


def test_every_example_runs(system: System, tmp_path: Path) -> None:
    first, second, third = photos("for the page", 3)
    for name, content in (
        ("dress.jpg", first),
        ("photos/shirt.jpg", second),
        ("more/trousers.jpg", third),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) == 3
    given = [_run(system, "from lookstream import Client\n" + each, tmp_path) for each in examples]
    assert given[0].startswith("completed ")
    assert pixels((tmp_path / "results" / "dress.jpg").read_bytes()) == pixels(first)
    assert given[1].splitlines()[-1].split()[0] in ("completed", "failed")  # without internet
    assert "shirt.jpg" in given[2]
    assert "trousers.jpg" in given[2]


def test_predicting_and_replaying(system: System, website: Website) -> None:
    with Client(system.gateway) as client:
        prediction = client.predict(website.put("/dress.jpg", photo("to predict")))
        assert len(prediction.top5) == 5
        assert client.job(prediction.job_id).top5 == prediction.top5
        started = client.replay("image-validated", job_ids=[prediction.job_id], dry_run=True)
        done = until(lambda: _done(client.replay_now(started.replay_id)))
    assert (done.status, done.matched, done.published) == ("completed", 1, 0)


def test_a_large_photo_goes_straight_to_the_store(system: System, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(photo(f"large {uuid.uuid4()}") + bytes(LARGE))
    with Client(system.gateway) as client:
        entry = client.submit(path, once=True, stages=["thumbnailing"])
        job = client.wait(entry.job_id, timeout_s=120)
        again = client.submit(path, once=True, stages=["thumbnailing"])
        copies = {file.name: file for file in client.download(entry.job_id, tmp_path / "out")}
    assert (job.status, again.job_id, again.replayed) == ("completed", entry.job_id, True)
    assert job.raw["source"] == {"object": f"uploads/{entry.job_id}"}
    assert pixels(copies["large.jpg"].read_bytes()) == pixels(path.read_bytes())


def test_changes_are_streamed_live(system: System) -> None:
    group = f"live {uuid.uuid4()}"
    with Client(system.gateway) as client:
        told = []
        entry = client.submit(photo(group), group=group, once=True)
        for change in client.stream(entry.job_id):
            told.append((change.run, change.revision))
        assert change.status == "completed"
        assert len(told) > 1
        assert told == sorted(set(told))


def _done(replay: Replay) -> Replay | None:
    return None if replay.status == "running" else replay


def _run(system: System, code: str, folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=system.environment(LOOKSTREAM_GATEWAY=system.gateway),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
