"""Processes are killed and servers stop: accepted photos are still processed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable

from tests.acceptance.photos import photos, sha256
from tests.acceptance.process_tree import alive
from tests.acceptance.rest import all_completed
from tests.acceptance.system import System
from tests.acceptance.topics import keys_of_all
from tests.polling import until


def test_a_killed_worker_loses_nothing(
    system: System, record_property: Callable[[str, object], None]
) -> None:
    contents = photos("worker killed", _many(system, 200))
    job_ids = _underway(system, contents)
    workers = system.running_as("worker")
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    _assert_all_completed(system, job_ids, contents)
    assert not system.running_as("worker") & workers
    validated = Counter(keys_of_all(system.info["kafka"], "image-validated"))
    record_property("validated_again", sum(validated[job_id] - 1 for job_id in job_ids))


def test_killing_up_with_unfinished_jobs_loses_nothing(system: System) -> None:
    contents = photos("up killed", _many(system, 60))
    job_ids = _underway(system, contents)
    left = system.kill()
    until(lambda: not alive(left))  # they get no signal; they notice that `up` ended
    system.start()
    _assert_all_completed(system, job_ids, contents)


def test_ctrl_c_during_work_loses_nothing(system: System) -> None:
    contents = photos("ctrl-c", _many(system, 60))
    job_ids = _underway(system, contents)
    system.stop()
    system.start()
    _assert_all_completed(system, job_ids, contents)


def test_a_second_up_on_the_same_data_is_refused(system: System) -> None:
    done = system.cli("up", "--data", str(system.home), "--port", "0")
    _assert_refused(done.returncode, done.stderr, str(system.home))


def test_a_port_that_is_taken_is_refused(system: System) -> None:
    port = system.gateway.rpartition(":")[2]
    done = system.cli("up", "--data", f"{system.home}-other", "--port", port)
    _assert_refused(done.returncode, done.stderr, port)


def test_a_worker_of_an_unknown_stage_is_refused(system: System) -> None:
    done = system.cli("worker", "nonsense", LOOKSTREAM_KAFKA=f"kafka://{system.info['kafka']}")
    _assert_refused(done.returncode, done.stderr, "nonsense")


def _assert_refused(code: int, said: str, why: str) -> None:
    assert code == 2, said
    assert len(said.splitlines()) == 1, said
    assert said.startswith("lookstream: ")
    assert why in said


def _many(system: System, count: int) -> int:
    """Return a smaller number for FerretDB, which reads all jobs for each write."""
    return count // 5 if system.kafka else count


def _underway(system: System, contents: list[bytes]) -> list[str]:
    """Submit all photos; return their jobs once a stage has started."""
    job_ids = system.submit(*contents)
    until(lambda: _status(system, job_ids[0]) != "pending", 120)
    found = {_status(system, job_id) for job_id in job_ids[-20:]}
    assert found != {"completed"}, "too late to prove anything"
    return job_ids


def _status(system: System, job_id: str) -> str | None:
    job = system.job(job_id)
    return job and job["status"]


def _assert_all_completed(system: System, job_ids: list[str], contents: list[bytes]) -> None:
    jobs = all_completed(system.finish_all(job_ids))
    assert [job["original"]["sha256"] for job in jobs] == [sha256(each) for each in contents]
