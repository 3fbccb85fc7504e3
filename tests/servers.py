"""Fixtures for real servers: Apache Kafka, MinIO, and FerretDB for the MongoDB protocol.

``LOOKSTREAM_TEST_KAFKA``, ``_ARTIFACTS`` or ``_JOBS`` name a running server. Without them, the
first test that needs a server starts one from `deploy.local`. If that is impossible, the tests are
skipped with the reason, or fail with ``LOOKSTREAM_REQUIRE_SERVERS=1``.
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
    """A server for tests. Tests may break it if they started it."""

    def __init__(self, url: str, own: Server | None) -> None:
        self.url = url
        self._own = own

    def stop(self) -> None:
        """Stop it normally."""
        self._mine().stop()

    def kill(self) -> None:
        """Kill it."""
        self._mine().kill()

    def restart(self) -> None:
        """Start it again with the same port and data."""
        self._mine().restart()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Keep it stopped until the block ends."""
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
    """``url`` is ``kafka://host:port``. Tests create the topics that they need."""

    @property
    def bootstrap(self) -> str:
        """The address for Kafka clients."""
        return urlsplit(self.url).netloc


class MinioServer(RealServer):
    def fresh(self) -> str:
        """Return an ``s3://…`` URL of a bucket that does not exist yet."""
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
    """Run a server, or use the one that an environment variable names."""
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
    """Skip the test, or fail it if real servers are required."""
    if os.environ.get("LOOKSTREAM_REQUIRE_SERVERS") == "1":
        pytest.fail(f"a real server is required: {reason}", pytrace=False)
    pytest.skip(reason)


def _fresh(url: str, prefix: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=f"/{prefix}{uuid.uuid4().hex}").geturl()
