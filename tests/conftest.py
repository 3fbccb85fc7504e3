"""What every test may ask for: the real servers, see `tests.servers`; and who runs which tests.

`make test` shares the tests out among processes (pytest-xdist). What stands on one running thing
stays together: a file's tests, or those of its tests that are on the same backend.
"""

from __future__ import annotations

import logging
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

pytest_plugins = ["tests.servers"]

REAL = {"kafka_server", "minio_server", "ferretdb_server"}

# A shell's background job ignores Ctrl-C, and so would the processes that the tests interrupt.
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
    """Mark what names a real server; a parametrised store marks its own parameters."""
    for item in items:
        if REAL & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real_servers)
        item.add_marker(pytest.mark.xdist_group(_together(item)))


def _together(item: pytest.Item) -> str:
    """Return the name of what one process runs as a whole."""
    given = getattr(getattr(item, "callspec", None), "params", {})
    return f"{item.path.stem} {given.get('lasting_system', '')}".rstrip()
