"""`lookstream up` exits with an error when one of its processes cannot start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lookstream.errors import CannotStart
from lookstream.supervisor.up import ChildProcess


def test_a_child_that_cannot_start_ends_up_with_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()  # the gateway expects a file
    done = subprocess.run(
        [sys.executable, "-m", "lookstream", "up", "--port", "0", "--data", tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr[-2000:]
    last = done.stderr.splitlines()[-1]
    assert last.startswith("lookstream: the gateway ")
    assert "ended 3 times before it was ready" in last
    assert "ready:" not in done.stdout


async def test_a_program_that_cannot_be_executed_is_an_error() -> None:
    too_large = {"LOOKSTREAM_STAGES": "a" * 1_000_000}
    with pytest.raises(CannotStart, match="the gateway cannot be executed"):
        await ChildProcess("gateway", ["gateway"], too_large).keep_alive()


async def test_a_child_that_ends_at_once_is_not_restarted_forever(tmp_path: Path) -> None:
    child = ChildProcess("vocabulary", ["vocabulary", "--check", str(tmp_path / "none.yaml")], {})
    with pytest.raises(CannotStart, match=r"the vocabulary ended 3 times .* exit code 2"):
        await child.keep_alive()
