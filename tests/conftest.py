"""What every test may ask for: the real servers; see `tests.servers`."""

from __future__ import annotations

import signal

import pytest

pytest_plugins = ["tests.servers"]

REAL = {"kafka_server", "minio_server", "ferretdb_server"}

# A shell's background job ignores Ctrl-C, and so would the processes that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what names a real server; a parametrised store marks its own parameters."""
    for item in items:
        if REAL & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real_servers)
