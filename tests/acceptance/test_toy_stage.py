"""A custom stage in a file of its own, added by a setting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.artifacts.links import LinkSigner
from storage.urls import open_artifacts
from tests.acceptance import toy_stage
from tests.acceptance.system import System
from tests.acceptance.topics import find
from tests.garments import encoded, tshirt
from tests.polling import until

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-stage.md"
ADDED = "tests.acceptance.toy_stage:mean_colour"


@pytest.fixture
def extended(lasting_system: System) -> Iterator[System]:
    """The system with the toy stage."""
    with lasting_system.started_with(LOOKSTREAM_STAGES=ADDED):
        yield lasting_system


def test_its_result_is_in_the_job_and_on_its_topic(extended: System) -> None:
    blue = encoded(tshirt((64, 64), "#0000ff", "#0000ff"), "PNG")
    (job,) = extended.completed(blue)
    assert job["stages"]["colour"]["status"] == "completed"
    assert len(job["stages"]) == 8
    assert set(job["results"]) == {"colour"}
    assert job["results"]["colour"]["colour"] == "#0000fe"
    key = job["job_id"].encode()
    assert find(extended.info["kafka"], "colour-completed", lambda it: it.key() == key)
    (alone,) = extended.completed(blue, stages="colour")
    assert set(alone["stages"]) == {"validation", "colour"}
    assert alone["stages"]["colour"]["reused"]


def test_deleting_the_job_deletes_its_artifacts(extended: System) -> None:
    (job,) = extended.completed(encoded(tshirt((64, 64), "#00ff00", "#00ff00"), "PNG"))
    url = extended.environment().get("LOOKSTREAM_ARTIFACTS") or extended.info["artifacts"]
    artifacts = open_artifacts(url, LinkSigner(b"a secret of the tests", ""))
    swatch = job["results"]["colour"]["swatch"]
    assert artifacts.exists(swatch)
    with extended.http() as http:
        assert http.delete(f"/v1/jobs/{job['job_id']}").status_code == 204
    until(lambda: not artifacts.exists(swatch))


def test_the_page_shows_this_stage_and_a_test_that_passes() -> None:
    stage, test = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert stage == Path(toy_stage.__file__).read_text()
    assert len(stage.splitlines()) <= 25
    namespace: dict[str, Any] = {}
    exec(compile(test, str(PAGE), "exec"), namespace)  # noqa: S102 - our own page
    namespace["test_a_blue_photo_has_a_blue_mean"]()
    assert f"LOOKSTREAM_STAGES={ADDED}" in PAGE.read_text()
