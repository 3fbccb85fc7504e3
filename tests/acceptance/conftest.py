"""One running system per backend, shared by the tests: embedded, and Kafka + MinIO + FerretDB."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.acceptance.browser import browser, chromium
from tests.acceptance.system import System
from tests.acceptance.website import HOST, Website

__all__ = ["browser", "chromium"]

SETTINGS: Mapping[str, str] = {
    # The tests' web server. 127.0.0.1 stays forbidden, as it is by default.
    "LOOKSTREAM_URL_ALLOW": f"{HOST}/32",
    "LOOKSTREAM_URL_TIMEOUT_S": "3",
    # For the import of the toy stage.
    "PYTHONPATH": f"{Path(__file__).parents[2]}:{os.environ.get('PYTHONPATH', '')}",
}


@pytest.fixture(
    scope="session",
    params=["embedded", pytest.param("real", marks=pytest.mark.real_servers)],
)
def lasting_system(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    home = tmp_path_factory.mktemp(request.param) / "data"
    system = System(home, SETTINGS) if request.param == "embedded" else _real(request, home)
    yield system
    system.close()


def _real(request: pytest.FixtureRequest, home: Path) -> System:
    kafka, minio, ferretdb = (
        request.getfixturevalue(name)
        for name in ("kafka_server", "minio_server", "ferretdb_server")
    )
    stores = {
        "LOOKSTREAM_KAFKA": kafka.url,
        "LOOKSTREAM_ARTIFACTS": minio.fresh(),
        "LOOKSTREAM_JOBS": ferretdb.fresh(),
    }
    system = System(home, {**SETTINGS, **stores})
    system.kafka, system.minio = kafka, minio
    return system


@pytest.fixture
def system(lasting_system: System) -> System:
    """A running system. If an earlier test stopped it, it is started again on the same data."""
    if not lasting_system.running:
        lasting_system.start()
    return lasting_system


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the system before the tests of another folder, because they stop its servers."""
    system = getattr(item, "funcargs", {}).get("lasting_system")
    leaving = nextitem is not None and nextitem.path.parent != item.path.parent
    if leaving and isinstance(system, System) and system.running:
        system.stop()


@pytest.fixture
def website() -> Iterator[Website]:
    """A web server on an address that the system may fetch from."""
    with Website.serving() as site:
        yield site


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport]:
    """Show the system's log if a test fails."""
    report: pytest.TestReport = yield
    system = getattr(item, "funcargs", {}).get("lasting_system")
    if report.failed and isinstance(system, System):
        report.sections.append(("log of lookstream up", system.log()))
    return report
