"""Log lines: JSON with constant event names, and no values of local variables."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SERVER = ("agents", "gateway", "lookstream", "storage", "streams")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
SCRIPT = """
import logging, structlog
from lookstream import telemetry as logs
logs.configure("info", {form!r})
log = structlog.get_logger()
log.debug("below_the_level")
with structlog.contextvars.bound_contextvars(request_id="r-1", trace_id="t-1"):
    log.warning("stage_failed", stage="pose", job_id="j-1", run=2)
    logging.getLogger("uvicorn").warning("a library says %s", "so")
logging.getLogger("aiokafka").warning("too noisy")
try:
    password = "hush-" + "hush"
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
    logging.getLogger("asyncio").exception("broken there")
"""


def logged(form: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(form=form)], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("form", ["json", "auto"])
def test_every_line_is_json(form: str) -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in logged(form).splitlines()]
    ours, theirs, broken, there = lines
    facts = {"event": "stage_failed", "stage": "pose", "job_id": "j-1", "run": 2}
    assert ours.items() >= {**facts, "level": "warning"}.items()
    assert (ours["request_id"], ours["trace_id"]) == ("r-1", "t-1")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["logger"]) == ("a library says so", "uvicorn")
    assert (theirs["request_id"], theirs["level"]) == ("r-1", "warning")
    for line in (broken, there):
        assert line["level"] == "error"
        assert "ZeroDivisionError" in line["exception"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_tracebacks_show_no_values(form: str) -> None:
    text = logged(form)
    assert "ZeroDivisionError" in text
    assert "hush-hush" not in text


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(path for folder in SERVER for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in ("log", "logger")
                and node.func.attr in LEVELS
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_log_events_are_constant_snake_case_names() -> None:
    """A constant name can be searched for; values belong in fields, and `action` is no field."""
    calls = list(log_calls())
    assert len(calls) > 20
    for place, call in calls:
        event = call.args[0] if len(call.args) == 1 else None
        assert isinstance(event, ast.Constant), place
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", str(event.value)), place
        assert "action" not in {keyword.arg for keyword in call.keywords}, place
