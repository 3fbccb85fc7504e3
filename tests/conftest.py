"""Fixtures for all tests, such as the real servers (`tests.servers`), and the groups of tests.

`make test` distributes the tests among processes (pytest-xdist). One process runs all tests of a
file. The acceptance tests of a file are one group per backend.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest
import structlog

from lookstream.telemetry import NOISY

# The same examples in each run, and no limit on time: the machine may be busy.
hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")

# The test processes share the cores. More threads in each of them only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["tests.servers"]

REAL = {"kafka_server", "secured_kafka", "minio_server", "ferretdb_server"}

# A shell's background job ignores SIGINT. The processes that tests interrupt would inherit this.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def log_configuration() -> Iterator[None]:
    """Undo the log configuration of a command that a test ran in this process.

    The command logs to the standard error of its own test, which is closed in later tests.
    """
    root = logging.root
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in NOISY}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a real server, and group all tests.

    A parametrised store marks its own parameters.
    """
    for item in items:
        if REAL & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real_servers)
        item.add_marker(pytest.mark.xdist_group(_together(item)))


def _together(item: pytest.Item) -> str:
    """Return the test's group. One process runs all tests of a group."""
    given = getattr(getattr(item, "callspec", None), "params", {})
    return f"{item.path.stem} {given.get('lasting_system', '')}".rstrip()
