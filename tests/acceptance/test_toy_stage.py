"""A stage in a file of its own, plugged in by setting, without a change to the runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import toy_stage
from tests.acceptance.system import System
from tests.acceptance.topics import find
from tests.garments import encoded, tshirt

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-stage.md"
PLUGGED_IN = "tests.acceptance.toy_stage:mean_colour"


@pytest.fixture
def extended(lasting_system: System) -> Iterator[System]:
    """The system with the toy stage."""
    with lasting_system.started_with(LOOKSTREAM_STAGES=PLUGGED_IN):
        yield lasting_system


def test_its_result_is_in_the_job(extended: System) -> None:
    blue = encoded(tshirt((64, 64), "#0000ff", "#0000ff"), "PNG")
    (job,) = extended.completed(blue)
    assert job["stages"]["colour"]["status"] == "completed"
    assert len(job["stages"]) == 8
    assert set(job["results"]) == {"colour"}
    assert job["results"]["colour"]["colour"] == "#0000fe"
    # Anyone can read it off its topic.
    key = job["job_id"].encode()
    assert find(extended.info["kafka"], "colour-completed", lambda it: it.key() == key)
    (alone,) = extended.completed(blue, stages="colour")
    assert set(alone["stages"]) == {"validation", "colour"}
    assert alone["stages"]["colour"]["reused"]


def test_the_page_shows_this_stage_and_a_test_that_passes() -> None:
    stage, test = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert stage == Path(toy_stage.__file__).read_text()
    assert len(stage.splitlines()) <= 25
    namespace: dict[str, Any] = {}
    exec(compile(test, str(PAGE), "exec"), namespace)  # noqa: S102 - our own page
    namespace["test_a_blue_photo_has_a_blue_mean"]()
    assert f"LOOKSTREAM_STAGES={PLUGGED_IN}" in PAGE.read_text()
