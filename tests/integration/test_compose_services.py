"""Every service of docker-compose.yaml starts with its command, and a photo passes all of them."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from minio import Minio as MinioClient

from deploy.local.builds import ServerUnavailable, built
from deploy.local.server import HOST
from deploy.local.servers import FerretDB, Kafka, Minio
from streams.stages.registry import PIPELINE
from tests.acceptance.photos import photo
from tests.acceptance.rest import accepted, all_completed, finished, http_client
from tests.composed import Composed
from tests.composing import ROOT, SECRETS, services
from tests.polling import until
from tests.servers import FerretServer, KafkaServer, give_up, serving

pytestmark = pytest.mark.real_servers
WITHIN_S = 240.0
STAGES = (*(node.name for node in PIPELINE), "downloading", "tracking", "intake")


class ComposedMinio(Minio):
    """MinIO with the environment from docker-compose.yaml."""

    def __init__(self, home: Path, kafka: str) -> None:
        super().__init__()
        self._queue, self._kafka = home / "queue", kafka

    def environment(self) -> Mapping[str, str]:
        written = services()["minio"]["environment"]
        here = {"kafka:9092": self._kafka, "/queue": str(self._queue)}
        return {name: here.get(value, value) for name, value in written.items()}


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaServer]:
    """A new broker: the services would process events of other tests."""
    with serving(KafkaServer, Kafka) as server:
        yield server


@pytest.fixture(scope="module")
def ferretdb() -> Iterator[FerretServer]:
    with serving(FerretServer, FerretDB) as server:
        yield server


@pytest.fixture(scope="module")
def minio(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposedMinio]:
    home = tmp_path_factory.mktemp("store")
    server = ComposedMinio(home, kafka.bootstrap)
    try:
        server.start(home / "data")
    except ServerUnavailable as error:
        give_up(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def composed(
    kafka: KafkaServer,
    ferretdb: FerretServer,
    minio: ComposedMinio,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Composed]:
    """All services, in Compose's start order."""
    # FerretDB has no accounts.
    mongo = services()["tracking"]["environment"]["LOOKSTREAM_JOBS"]
    addresses = {
        mongo: ferretdb.fresh(),
        "kafka:9092": kafka.bootstrap,
        "minio:9000": f"{HOST}:{minio.port}",
    }
    composed = Composed(tmp_path_factory.mktemp("composed"), addresses)
    composed.run("topics")
    for _ in range(2):  # the set-up can be repeated
        _set_up_the_store(composed)
    with composed.running("gateway", *STAGES):
        yield composed


def _set_up_the_store(composed: Composed) -> None:
    try:
        client = built("mc")
    except ServerUnavailable as error:
        give_up(str(error))
    shell, script = services()["buckets"]["entrypoint"]
    assert any(volume.endswith("/deploy/minio:/setup:ro") for volume in _mounts("buckets"))
    script = script.replace("/setup/", f"{ROOT}/deploy/minio/")
    composed.run("buckets", shell, script, PATH=f"{client}:/usr/bin:/bin")


def _mounts(name: str) -> list[str]:
    return list(services()[name]["volumes"])


def composed_http(composed: Composed) -> httpx.Client:
    return http_client(f"http://{HOST}:{composed.port('gateway')}")


def test_a_photo_through_all_services(composed: Composed) -> None:
    with composed.explained(), composed_http(composed) as http:
        files = [("files", ("a.jpg", photo("composed")))]
        (job_id,) = accepted(http.post("/v1/jobs", files=files))
        (job,) = all_completed([finished(http, job_id, time.monotonic() + WITHIN_S)])
        assert set(job["stages"]) == {node.name for node in PIPELINE}
        assert http.get("/health/ready").status_code == 200


def test_a_photo_put_into_the_store(composed: Composed, minio: ComposedMinio) -> None:
    """MinIO's notification on Kafka alone starts a job."""
    account = {"access_key": "lookstream", "secret_key": SECRETS["STORE_SECRET"]}
    store = MinioClient(f"{HOST}:{minio.port}", secure=False, **account)
    job_id, content = str(uuid.uuid4()), photo("put into the store")
    store.put_object("lookstream", f"uploads/{job_id}", io.BytesIO(content), len(content))
    with composed.explained(), composed_http(composed) as http:
        until(lambda: http.get(f"/v1/jobs/{job_id}").status_code == 200, WITHIN_S)
        all_completed([finished(http, job_id, time.monotonic() + WITHIN_S)])


def test_what_stays_in_quarantine_expires(composed: Composed, minio: ComposedMinio) -> None:
    secrets = composed.environment("buckets")
    account = {name: secrets[f"MINIO_ROOT_{name}"] for name in ("USER", "PASSWORD")}
    root = MinioClient(f"{HOST}:{minio.port}", account["USER"], account["PASSWORD"], secure=False)
    rules = root.get_bucket_lifecycle("lookstream").rules
    kept = {rule.rule_filter.prefix: rule.expiration.days for rule in rules}
    assert kept == {"incoming/": 7, "uploads/": 7}
