"""The REST contract under fire: every operation with thousands of made-up requests."""

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
"""Cases an operation, in each of schemathesis' phases."""

EXCEPTIONS = Path(__file__).with_name("schemathesis.toml")
ENDLESS = "followJobs"
"""Its answer never ends; tests/acceptance/test_live.py reads it."""


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[System]:
    """A system for nobody else: made-up replays raise any job's run, at any rate."""
    system = System(tmp_path / "data", {"LOOKSTREAM_URL_TIMEOUT_S": "3"})
    system.start()
    yield system
    system.close()


def test_no_made_up_request_gets_an_undocumented_answer(
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
