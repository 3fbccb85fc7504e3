"""A replay after a change of the model: jobs get new results, and keep old ones until then."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from agents.vision.networks.model import SHIPPED
from tests.acceptance.photos import photo, photos
from tests.acceptance.rest import Job
from tests.acceptance.system import System
from tests.polling import until

DONE_WITHIN_S = 240.0
SEEING = {"captioning", "classification", "annotation", "pose", "shots"}
RESULTS = ("caption", "description", "attributes", "top5", "pose", "thumbnails", "annotated")


def test_a_replay_updates_finished_jobs_with_a_new_model(
    system: System, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    weights = tmp_path / "weights.safetensors"
    shutil.copy(SHIPPED, weights)
    with system.started_with(LOOKSTREAM_WEIGHTS=str(weights)):
        began = datetime.now(UTC).isoformat()
        jobs = Replayed(system, began, _many(system, 200))
        old = jobs.models()
        workers = system.running_as("worker")
        _change(weights)
        system.reload()
        assert system.running_as("worker") == workers

        computed, since = system.computed(), time.monotonic()
        assert jobs.replay()["published"] == jobs.count
        jobs.until_all_are(run=2)
        record_property("replayed_in_s", round(time.monotonic() - since, 1))
        assert len(old) == len(jobs.models()) == 1
        assert old != jobs.models()
        worked = _difference(system, computed)
        assert {name for name, times in worked.items() if times} == SEEING
        assert all(worked[name] >= jobs.count for name in SEEING)

        computed = system.computed()
        jobs.replay()
        jobs.until_all_are(run=3)
        assert not any(_difference(system, computed).values())

        (one, *_) = jobs.ids
        assert jobs.replay("--job", one, "--stage", "thumbnailing", "--force")["matched"] == 1
        jobs.until_all_are(run=4, of=[one])
        assert _difference(system, computed)["thumbnailing"] == 1


def test_a_model_that_cannot_be_read_changes_nothing(system: System, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    shutil.copy(SHIPPED, weights)
    with system.started_with(LOOKSTREAM_WEIGHTS=str(weights)):
        (before,) = system.completed(photo("before a bad model"))
        weights.write_bytes(b"not a model")
        system.reload("reload_failed")
        (after,) = system.completed(photo("after a bad model"))
        assert after["models"] == before["models"]


class Replayed:
    """Finished jobs, read repeatedly while a replay runs."""

    def __init__(self, system: System, began: str, count: int) -> None:
        self.count = count
        self._system = system
        self._began = began
        self._group = f"replayed {began}"
        contents = photos(self._group, count)
        self.ids = system.submit(*contents, group=self._group)
        self.until_all_are(run=1)
        self._known = {job["job_id"]: _present(job) for job in self.now()}

    def now(self) -> list[Job]:
        """Return all jobs, after a check that none has lost a result."""
        jobs = self._read()
        for job in jobs:
            known = getattr(self, "_known", {}).get(job["job_id"], set())
            assert known <= _present(job), f"{known - _present(job)} missing in run {job['run']}"
        return jobs

    def _read(self) -> list[Job]:
        with self._system.http() as http:
            if self._system.kafka:  # FerretDB reads all jobs for a list, one for an id
                answers = [http.get(f"/v1/jobs/{job_id}") for job_id in self.ids]
                return [answer.raise_for_status().json() for answer in answers]
            answer = http.get("/v1/jobs", params={"group": self._group, "limit": 200})
            jobs: list[Job] = answer.raise_for_status().json()["jobs"]
            return jobs

    def until_all_are(self, *, run: int, of: list[str] | None = None) -> None:
        wanted = set(of or self.ids)

        def done() -> bool:
            jobs = [job for job in self.now() if job["job_id"] in wanted]
            assert not [job["error"] for job in jobs if job["status"] == "failed"]
            states = {(job["run"], job["status"]) for job in jobs}
            return len(jobs) == len(wanted) and states == {(run, "completed")}

        until(done, DONE_WITHIN_S)

    def models(self) -> set[str]:
        return {job["models"]["classification"] for job in self.now()}

    def replay(self, *more: str) -> dict[str, Any]:
        """Replay the events since the start of the test."""
        told = self._system.cli("replay", "image-validated", "--from", self._began, "--json", *more)
        assert told.returncode == 0, told.stderr
        answer: dict[str, Any] = json.loads(told.stdout)
        assert answer["status"] == "completed"
        return answer


def test_a_dry_run_changes_nothing(system: System) -> None:
    began = datetime.now(UTC).isoformat()
    (job,) = system.completed(photo("dry run"))
    told = system.cli("replay", "image-submitted", "--from", began, "--dry-run")
    assert told.returncode == 0, told.stderr
    assert "would replay at most 1 jobs" in told.stdout
    after = system.job(job["job_id"])
    assert after is not None
    assert after["run"] == 1


@pytest.mark.parametrize("topic", ["image-classified", "pose-estimated", "image-submitted"])
def test_any_topic_that_a_stage_reads_brings_the_job_to_its_end(system: System, topic: str) -> None:
    (job,) = system.completed(photo(f"replay of {topic}"))
    told = system.cli("replay", topic, "--job", job["job_id"], "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["published"] == 1

    def again() -> bool:
        now = system.job(job["job_id"])
        assert now is not None
        assert _present(job) <= _present(now)
        return (now["run"], now["status"]) == (2, "completed")

    until(again)


def test_a_topic_that_cannot_be_replayed_is_refused(system: System) -> None:
    told = system.cli("replay", "image-captioned")
    assert told.returncode == 2
    assert "topic-not-replayable" in told.stderr


def _present(job: Job) -> set[str]:
    return {name for name in RESULTS if job[name]}


def _many(system: System, count: int) -> int:
    """Return the number of jobs, fewer with FerretDB, which is slow at writes."""
    return count // 10 if system.kafka else count


def _change(weights: Path) -> None:
    """Replace the network's file by a network with slightly lower confidence."""
    with safe_open(weights, framework="pt") as file:
        metadata = file.metadata()
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    name = next(key for key in state if key.endswith(".bias"))
    state[name] = state[name] * 0.999
    other = weights.with_suffix(".new")
    save_file(state, other, metadata)
    other.replace(weights)


def _difference(system: System, before: dict[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0) for name, value in system.computed().items()}
