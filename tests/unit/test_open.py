"""A URL selects the adapter. Malformed URLs are refused, and errors contain no secret."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.artifacts.s3 import MinioArtifacts
from storage.errors import InvalidStoreUrl
from storage.jobs.mongo.store import MongoJobs
from storage.jobs.sqlite.store import SqliteJobs
from storage.urls import open_artifacts, open_jobs, redact

SIGNER = LinkSigner(b"0123456789abcdef", "")


def test_a_directory(tmp_path: Path) -> None:
    store = open_artifacts(f"file://{tmp_path}/with%20blank", SIGNER)
    assert isinstance(store, DirectoryArtifacts)
    store.put("a", b"x")
    assert (tmp_path / "with blank" / "a").read_bytes() == b"x"


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hush@localhost:9000/bucket",
        "s3://key:se%2Fcr%40et@s3.eu-west-1.amazonaws.com/bucket?region=eu-west-1",
        "s3://key:hush@127.0.0.1:9000/bucket/?secure=false&region=eu",
    ],
)
def test_a_bucket(url: str) -> None:
    assert isinstance(open_artifacts(url, SIGNER), MinioArtifacts)


def test_opening_a_job_store_does_not_connect(tmp_path: Path) -> None:
    sqlite = open_jobs(f"sqlite://{tmp_path}/deep/jobs.db")
    assert isinstance(sqlite, SqliteJobs)
    assert not (tmp_path / "deep").exists()
    asyncio.run(sqlite.close())
    for url in (
        "mongodb://user:pass@nowhere.invalid/db",
        "mongodb://a.invalid:1,b.invalid:2/db?replicaSet=rs",
        "mongodb+srv://nowhere.invalid/db",
    ):
        mongo = open_jobs(url)
        assert isinstance(mongo, MongoJobs)
        asyncio.run(mongo.close())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "lookstream-data",
        "/var/lib",
        "ftp://host/dir",
        "file://",
        "file:///",
        "file://host/dir",
        "file:///dir?mode=rw",
        "file:dir",
        "s3://host:9000/bucket",
        "s3://key:hush@host:9000",
        "s3://key:hush@host:9000/",
        "s3://key:hush@host:9000/bucket/prefix",
        "s3://key:hush@host:9000/Bad_Bucket",
        "s3://key:hush@host:9000/b",
        "s3://key:hush@host:port/bucket",
        "s3://key:hush@host:9000/bucket?secure=maybe",
        "s3://key:hush@host:9000/bucket?tls=true",
        "s3://key:hush@[::1/bucket",
    ],
)
def test_an_artifact_url_that_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(InvalidStoreUrl) as failure:
        open_artifacts(url, SIGNER)
    assert "hush" not in str(failure.value)
    assert failure.value.code == "invalid-store-url"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "jobs.db",
        "postgres://host/db",
        "sqlite://jobs.db",
        "sqlite:///",
        "sqlite:///a.db?mode=ro",
        "mongodb://",
        "mongodb://user:sec:ret@host/db",
        "mongodb://host/db?maxPoolSize=many",
        "mongodb://host:port/db",
    ],
)
def test_a_job_url_that_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(InvalidStoreUrl) as failure:
        open_jobs(url)
    assert "sec:ret" not in str(failure.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("file:///var/lib/artifacts", "file:///var/lib/artifacts"),
        ("s3://key:hush@host:9000/bucket?secure=false", "s3://…@host:9000/bucket"),
        ("s3://key:se/cr@et@host:9000/bucket", "s3://…@host:9000/bucket"),
        ("mongodb://u:p@a:1,b:2/db?authSource=admin&password=x", "mongodb://…@a:1,b:2/db"),
        ("mongodb://host/db", "mongodb://host/db"),
        ("user:secret@host", "…"),
        ("", ""),
    ],
)
def test_what_is_shown_of_a_url_has_no_secret(url: str, shown: str) -> None:
    assert redact(url) == shown
