"""MinIO publishes upload notifications to Kafka, and intake parses them."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from agents.tracking.notifications import UploadedObject, uploaded_objects
from deploy.local.servers import Minio
from lookstream.wiring.workers import NOTIFICATION_TARGET
from storage.artifacts import keys
from storage.artifacts.links import LinkSigner
from storage.artifacts.s3 import MinioArtifacts
from storage.errors import StorageError, StoreUnavailable
from storage.urls import open_artifacts
from streams.broker.connection import BrokerUrl
from streams.broker.records import Record
from streams.broker.topics import OBJECT_CREATED, Topic, create_topics
from tests.broking import messages
from tests.polling import until
from tests.servers import KafkaServer, MinioServer

SIGNER = LinkSigner(b"0123456789abcdef", "")


@pytest.fixture
def store(kafka_server: KafkaServer, tmp_path: Path) -> Iterator[MinioArtifacts]:
    """A store on a MinIO with a Kafka target. The tests' shared MinIO has no target."""
    create_topics(BrokerUrl.parse(kafka_server.url), [Topic(OBJECT_CREATED, 2)])
    server = Minio(kafka=kafka_server.bootstrap)
    server.start(tmp_path / "minio")
    yield opened(MinioServer(server.url, server))
    server.stop()


def opened(server: MinioServer) -> MinioArtifacts:
    store = open_artifacts(server.fresh(), SIGNER)
    assert isinstance(store, MinioArtifacts)
    return store


def follow(link: str, data: bytes) -> None:
    request = urllib.request.Request(link, data=data, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def announced(store: MinioArtifacts) -> bool:
    """Add the notification; False if MinIO is not connected with Kafka yet."""
    try:
        store.add_notification("uploads/", NOTIFICATION_TARGET)
    except StoreUnavailable:
        return False
    return True


def test_an_upload_by_link_is_notified_once(
    store: MinioArtifacts, kafka_server: KafkaServer
) -> None:
    for _ in range(3):
        until(lambda: announced(store))
    job_id = str(uuid4())
    store.put(keys.incoming(job_id), b"of no interest")
    follow(store.signed_link(keys.upload(job_id), expires_s=60, method="PUT"), b"a photo")
    last = str(uuid4())
    follow(store.signed_link(keys.upload(last), expires_s=60, method="PUT"), b"another")
    broker = BrokerUrl.parse(kafka_server.url)
    found = [
        put
        for message in messages(
            broker, OBJECT_CREATED, 2, lambda each: store.bucket.encode() in each.value()
        )
        for put in uploaded_objects(Record.received(message).value or b"", store.bucket)
    ]
    assert sorted(put.job_id for put in found) == sorted([job_id, last])
    assert UploadedObject(keys.upload(job_id), store.stat(keys.upload(job_id)).etag) in found


def test_a_store_without_a_kafka_target_raises(minio_server: MinioServer) -> None:
    with pytest.raises(StorageError):
        opened(minio_server).add_notification("uploads/", NOTIFICATION_TARGET)
