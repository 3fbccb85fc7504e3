"""Log lines: JSON, whoever writes them, and secrets' local variables never shown."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

SAYS = """
import logging, structlog
from lookstream import telemetry as logs
logs.configure("info", {form!r})
log = structlog.get_logger()
log.debug("too quiet")
with structlog.contextvars.bound_contextvars(request_id="r-1", trace_id="t-1"):
    log.warning("failed", action="fail", stage="pose", job_id="j-1", run=2)
    logging.getLogger("uvicorn").warning("a library says %s", "so")
logging.getLogger("aiokafka").warning("too noisy")
try:
    password = "hush-" + "hush"
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
    logging.getLogger("asyncio").exception("broken there")
"""


def said(form: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SAYS.format(form=form)], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("form", ["json", "auto"])
def test_every_line_is_json(form: str) -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in said(form).splitlines()]
    ours, theirs, broken, there = lines
    facts = {"action": "fail", "stage": "pose", "job_id": "j-1", "run": 2}
    assert ours.items() >= {**facts, "event": "failed", "level": "warning"}.items()
    assert (ours["request_id"], ours["trace_id"]) == ("r-1", "t-1")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["logger"]) == ("a library says so", "uvicorn")
    assert (theirs["request_id"], theirs["level"]) == ("r-1", "warning")
    for line in (broken, there):
        assert line["level"] == "error"
        assert "ZeroDivisionError" in line["exception"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_tracebacks_show_no_values(form: str) -> None:
    text = said(form)
    assert "ZeroDivisionError" in text
    assert "hush-hush" not in text
