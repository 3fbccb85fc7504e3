"""The REST contract: thousands of made-up requests to all operations except `followJobs`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.system import System

CASES = 2000
EACH = 120
"""The most cases per operation in each of schemathesis' phases."""

EXCEPTIONS = Path(__file__).with_name("schemathesis.toml")
ENDLESS = "followJobs"
"""The answer of this operation has no end. tests/acceptance/test_live.py tests the operation."""


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[System]:
    """A system for this test only: made-up replays raise the run of any job."""
    system = System(tmp_path / "data", {"LOOKSTREAM_URL_TIMEOUT_S": "3"})
    system.start()
    yield system
    system.close()


def test_all_answers_are_documented(
    alone: System, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(EXCEPTIONS), "run"),
            f"{alone.gateway}/openapi.json",
            *("--exclude-operation-id", ENDLESS),
            *("--max-examples", str(EACH), "--seed", "1", "--workers", "2"),
            *("--request-timeout", "70", "--continue-on-failure", "--no-shrink"),
            *("--report", "json", "--report-json-path", str(report)),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    cases = json.loads(report.read_text())["test_cases"]["generated"]
    assert cases >= CASES
    record_property("cases", cases)
