"""Fixtures: Apache Kafka, MinIO and the MongoDB protocol, the real ones.

Each is the one that ``LOOKSTREAM_TEST_KAFKA``, ``_ARTIFACTS`` or ``_JOBS`` names, else one of our
own from `deploy.local`, started when the first test asks for it and gone at the end. Where it
cannot be had, its tests are skipped with the reason, or fail when ``LOOKSTREAM_REQUIRE_SERVERS=1``.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

import pytest

from deploy.local.builds import ServerUnavailable
from deploy.local.server import Server
from deploy.local.servers import FerretDB, Kafka, Minio


class RealServer:
    """A server that tests talk to, and may break when it is of their own."""

    def __init__(self, url: str, own: Server | None) -> None:
        self.url = url
        self._own = own

    def stop(self) -> None:
        """End it in good order."""
        self._mine().stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self._mine().kill()

    def restart(self) -> None:
        """Start it again, on the same port and data."""
        self._mine().restart()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Keep it stopped for a while."""
        self.stop()
        try:
            yield
        finally:
            self.restart()

    def _mine(self) -> Server:
        if self._own is None:
            pytest.skip("the server was lent to the tests and is not theirs to stop")
        return self._own


T = TypeVar("T", bound="RealServer")
LENT: Mapping[type[Server], str] = {
    Kafka: "LOOKSTREAM_TEST_KAFKA",
    Minio: "LOOKSTREAM_TEST_ARTIFACTS",
    FerretDB: "LOOKSTREAM_TEST_JOBS",
}


class KafkaServer(RealServer):
    """``url`` is ``kafka://host:port``; topics are made by those who need them."""

    @property
    def bootstrap(self) -> str:
        """The address as Kafka's clients want it."""
        return urlsplit(self.url).netloc


class MinioServer(RealServer):
    def fresh(self) -> str:
        """Return an ``s3://…`` URL that names a bucket which is not there yet."""
        return _fresh(self.url, "test-")


class FerretServer(RealServer):
    def fresh(self) -> str:
        """Return a ``mongodb://…`` URL that names an empty database."""
        return _fresh(self.url, "test_")


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[KafkaServer]:
    with serving(KafkaServer, Kafka) as server:
        yield server


@pytest.fixture(scope="session")
def minio_server() -> Iterator[MinioServer]:
    with serving(MinioServer, Minio) as server:
        yield server


@pytest.fixture(scope="session")
def ferretdb_server() -> Iterator[FerretServer]:
    with serving(FerretServer, FerretDB) as server:
        yield server


@contextmanager
def serving(kind: type[T], program: type[Server]) -> Iterator[T]:
    """Keep a server of a test's own running, or take the one that is lent."""
    if lent := os.environ.get(LENT[program]):
        yield kind(lent, None)
        return
    with tempfile.TemporaryDirectory(prefix="lookstream-", ignore_cleanup_errors=True) as data:
        own = program()
        try:
            url = own.start(Path(data) / own.name)
        except ServerUnavailable as error:
            give_up(str(error))
        try:
            yield kind(url, own)
        finally:
            own.stop()


def give_up(reason: str) -> NoReturn:
    """Skip the test, or fail it where real servers are required."""
    if os.environ.get("LOOKSTREAM_REQUIRE_SERVERS") == "1":
        pytest.fail(f"a real server is required: {reason}", pytrace=False)
    pytest.skip(reason)


def _fresh(url: str, prefix: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=f"/{prefix}{uuid.uuid4().hex}").geturl()
