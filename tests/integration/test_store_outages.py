"""An unavailable store raises our own errors, and works again after the outage."""

from __future__ import annotations

import asyncio
import gc
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.local.server import free_port
from storage.artifacts.links import LinkSigner
from storage.artifacts.s3 import READ_S
from storage.artifacts.store import ArtifactStore
from storage.errors import StorageError, StoreUnavailable
from storage.jobs.store import JobQuery, JobStore, Submitted
from storage.urls import open_artifacts, open_jobs
from streams.stages.registry import BUILT_IN
from tests.servers import FerretServer, MinioServer

SIGNER = LinkSigner(b"0123456789abcdef", "")
SUBMITTED = Submitted("job", 1, datetime(2026, 1, 1, tzinfo=UTC), {"url": "http://a"}, ("a",))

# pymongo 4.20 does not close a socket if connecting is cancelled, as by a reset or a close.
half_open = pytest.mark.filterwarnings("ignore::ResourceWarning")


def artifact_calls(store: ArtifactStore) -> list[Callable[[], object]]:
    return [
        store.check,
        lambda: store.put("a", b"x"),
        lambda: store.get("a"),
        lambda: store.stream("a"),
        lambda: store.stat("a"),
        lambda: store.exists("a"),
        lambda: store.copy("a", "b"),
        lambda: store.delete("a"),
        lambda: store.list(),
    ]


async def assert_unavailable(store: JobStore) -> None:
    for call in (
        store.check(),
        store.apply([SUBMITTED]),
        store.get("job"),
        store.find(JobQuery()),
    ):
        with pytest.raises(StoreUnavailable):
            await call


def test_no_minio_at_the_address() -> None:
    store = open_artifacts(f"s3://key:hush@127.0.0.1:{free_port()}/bucket?secure=false", SIGNER)
    for call in artifact_calls(store)[:2]:
        with pytest.raises(StoreUnavailable) as failure:
            call()
        assert "hush" not in str(failure.value)


def test_a_frozen_store_is_unavailable_after_one_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server accepts connections and never answers. A second try would double the time."""
    monkeypatch.setattr("storage.artifacts.s3.READ_S", 0.2)
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connections.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        store = open_artifacts(f"s3://key:hush@127.0.0.1:{port}/bucket?secure=false", SIGNER)
        for number, call in enumerate(artifact_calls(store), 1):
            with pytest.raises(StoreUnavailable):
                call()
            assert len(connections) == number
        server.shutdown(socket.SHUT_RDWR)
    for each in connections:
        each.close()


def test_a_stage_outlasts_a_frozen_store() -> None:
    """Otherwise a frozen store is a time-out of the stage, and the photo fails."""
    for stage in BUILT_IN:
        assert stage.timeout_s >= 3 * READ_S, stage.name


def test_minio_stops_and_restarts(minio_server: MinioServer) -> None:
    store = open_artifacts(minio_server.fresh(), SIGNER)
    store.put("a", b"before")
    left = store.stream("a")
    with minio_server.down():
        for call in artifact_calls(store):
            with pytest.raises(StoreUnavailable):
                call()
    assert store.get("a") == b"before"
    del left


def test_minio_refuses_the_credentials(minio_server: MinioServer) -> None:
    scheme, _, rest = minio_server.fresh().partition("://")
    stranger = open_artifacts(f"{scheme}://stranger:password@{rest.partition('@')[2]}", SIGNER)
    with pytest.raises(StoreUnavailable, match=r"InvalidAccessKeyId|AccessDenied"):
        stranger.check()


def test_a_removed_bucket_is_created_again(minio_server: MinioServer) -> None:
    url = minio_server.fresh()
    store = open_artifacts(url, SIGNER)
    store.put("a", b"x")
    store.delete("a")
    client = store._client  # type: ignore[attr-defined]
    client.remove_bucket(url.partition("?")[0].rpartition("/")[2])
    with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
        store.put("a", b"x")
    store.put("a", b"x")
    assert store.list() == ["a"]


def test_a_directory_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = open_artifacts(f"file://{tmp_path}/file", SIGNER)
    for call in artifact_calls(store)[:2]:
        with pytest.raises(StoreUnavailable):
            call()


@half_open
async def test_no_mongodb_at_the_address() -> None:
    url = f"mongodb://user:hush@127.0.0.1:{free_port()}/db?serverSelectionTimeoutMS=100"
    store = open_jobs(url)
    await assert_unavailable(store)
    await store.close()
    gc.collect()


@half_open
async def test_mongodb_stops_and_restarts(ferretdb_server: FerretServer) -> None:
    store = open_jobs(ferretdb_server.fresh() + "?serverSelectionTimeoutMS=300")
    await store.apply([SUBMITTED])
    await asyncio.to_thread(ferretdb_server.stop)
    try:
        await assert_unavailable(store)
    finally:
        await asyncio.to_thread(ferretdb_server.restart)
    deadline = time.monotonic() + 20
    while True:
        try:
            job = await store.get("job")
            break
        except StoreUnavailable:
            assert time.monotonic() < deadline
    assert job is not None
    await store.close()
    gc.collect()


async def test_a_job_file_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = open_jobs(f"sqlite://{tmp_path}/file/jobs.db")
    await assert_unavailable(store)
    await store.close()


async def test_a_job_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_bytes(b"not a database, " * 100)
    store = open_jobs(f"sqlite://{tmp_path}/jobs.db")
    with pytest.raises(StorageError) as failure:
        await store.check()
    assert not isinstance(failure.value, StoreUnavailable)
    await store.close()


async def test_a_locked_job_file_does_not_block_the_event_loop(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = open_jobs(f"sqlite://{path}")
    await store.check()
    rival = sqlite3.connect(path, isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    write = asyncio.create_task(store.apply([SUBMITTED]))
    for _ in range(1000):  # the loop continues, and the write waits for the lock
        await asyncio.sleep(0)
    assert not write.done()
    rival.execute("ROLLBACK")
    rival.close()
    assert len(await write) == 1
    await store.close()
