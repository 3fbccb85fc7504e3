"""MinIO's notification submits a photo: an upload by link becomes a job without other requests."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.local.servers import Minio
from storage.artifacts import keys
from storage.artifacts.links import LinkSigner
from storage.urls import open_artifacts
from tests.acceptance.photos import photo, sha256
from tests.acceptance.rest import all_completed
from tests.acceptance.system import System
from tests.servers import KafkaServer, MinioServer


@pytest.mark.real_servers
@pytest.mark.parametrize("lasting_system", ["real"], indirect=True)
def test_a_photo_put_by_link_is_processed(
    lasting_system: System, kafka_server: KafkaServer, tmp_path: Path
) -> None:
    minio = Minio(kafka=kafka_server.bootstrap)
    minio.start(tmp_path / "minio")
    address = MinioServer(minio.url, minio).fresh()
    settings = {"LOOKSTREAM_ARTIFACTS": address, "LOOKSTREAM_NOTIFICATIONS": "true"}
    job_id, content = str(uuid4()), photo("put by link")
    try:
        with lasting_system.started_with(**settings):
            store = open_artifacts(address, LinkSigner(b"0123456789abcdef", ""))
            link = store.signed_link(keys.upload(job_id), expires_s=60, method="PUT")
            request = urllib.request.Request(link, data=content, method="PUT")
            urllib.request.urlopen(request, timeout=10).close()
            (job,) = all_completed([lasting_system.finish(job_id)])
            assert job["original"]["sha256"] == sha256(content)
            assert store.list("uploads/") == []
    finally:
        minio.stop()
