"""The alert rules, checked by promtool; the test cases are next to the rules."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.prometheus import SHIPPED, installed


@pytest.mark.parametrize(
    "words", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts.test.yml")], ids=str
)
def test_promtool_agrees(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [installed("promtool"), *words], cwd=SHIPPED, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    alerts = set(re.findall(r"alert: (\w+)", (SHIPPED / "alerts.yml").read_text()))
    cases = (SHIPPED / "alerts.test.yml").read_text()
    fired = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", cases))
    assert alerts == fired
