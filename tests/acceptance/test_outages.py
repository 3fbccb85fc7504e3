"""Real servers stop during work and restart: no job fails and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.photos import photos
from tests.acceptance.rest import all_completed
from tests.acceptance.system import System
from tests.acceptance.topics import new_job_id, publish_event
from tests.polling import until
from tests.servers import FerretServer

real_servers_only = pytest.mark.parametrize("lasting_system", ["real"], indirect=True)
pytestmark = [pytest.mark.real_servers, real_servers_only]


@pytest.fixture
def sweeping_often(lasting_system: System, ferretdb_server: FerretServer) -> Iterator[System]:
    """The system with a sweeper that resubmits after 20 s.

    Its job store is new, because FerretDB reads all jobs to find the stalled ones.
    """
    jobs = ferretdb_server.fresh()
    with lasting_system.started_with(LOOKSTREAM_SWEEP_AFTER_S="20", LOOKSTREAM_JOBS=jobs):
        yield lasting_system


def test_kafka_outage(sweeping_often: System) -> None:
    system = sweeping_often
    assert system.kafka is not None
    job_ids = _underway(system, "kafka")
    with system.kafka.down():
        until(lambda: system.readiness()[1]["kafka"] == "down")
        assert system.readiness()[0] == 503
        # New photos are accepted, and published by the sweeper.
        job_ids += system.submit(*photos("while kafka is away", 2))
    _assert_all_completed(system, job_ids)


def test_minio_outage(system: System) -> None:
    assert system.minio is not None
    job_ids = _underway(system, "minio")
    known = system.finish(job_ids[3])["original"]["sha256"]
    with system.minio.down():
        until(lambda: system.readiness()[1]["artifacts"] == "down")
        status, dependencies = system.readiness()
        assert status == 503
        assert dependencies["kafka"] == dependencies["jobs"] == "up"
        refused = system.post(photos("while minio is away", 1))
        assert (refused.status_code, refused.json()["code"]) == (503, "store-unavailable")
        # The other jobs may be completed; this job needs the store.
        again = {"job_id": new_job_id(), "source": {"object": f"originals/{known}"}, "force": True}
        job_ids.append(publish_event(system.info["kafka"], again))
        until(system.a_worker_waits)
        assert not [job for job in map(system.job, job_ids) if job and job["status"] == "failed"]
    _assert_all_completed(system, job_ids)


def _underway(system: System, name: str) -> list[str]:
    job_ids = system.submit(*photos(f"before {name} goes away", 30))
    all_completed([system.finish(job_ids[3])])
    return job_ids


def _assert_all_completed(system: System, job_ids: list[str]) -> None:
    all_completed(system.finish_all(job_ids))
    until(lambda: system.readiness()[0] == 200)
