"""The producers of examples/: each submits photos, and the jobs are completed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from deploy.local.builds import ServerUnavailable, built
from tests.acceptance.photos import photo, sha256
from tests.acceptance.rest import all_completed
from tests.acceptance.system import System
from tests.acceptance.website import Website
from tests.polling import until

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("language", ["python", "shell", "java"])
def test_the_example_producers_work(system: System, website: Website, language: str) -> None:
    if language == "java" and system.kafka is None:
        pytest.skip("librdkafka's in-process broker tells Java's client 4 to wait for 20 minutes")
    contents = [photo(f"{language} {number}") for number in range(2)]
    urls = [website.put(f"/{language}-{n}.jpg", each) for n, each in enumerate(contents)]
    ran = subprocess.run(
        [*_command(language), system.info["kafka"], *urls],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    job_ids = ran.stdout.split()
    for job_id in job_ids:
        until(lambda job_id=job_id: system.job(job_id))
    jobs = all_completed(system.finish_all(job_ids))
    assert [job["original"]["sha256"] for job in jobs] == [sha256(each) for each in contents]
    assert {job["group"] for job in jobs} == {"examples"}


def _command(language: str) -> list[str]:
    match language:
        case "python":
            return [sys.executable, str(EXAMPLES / "producer.py")]
        case "shell":
            _needed("kcat")
            return [str(EXAMPLES / "producer.sh")]
    _needed("java")
    try:
        jars = built("kafka") / "lib"
    except ServerUnavailable as error:
        _missing(str(error))
    return ["java", "-cp", f"{jars}/*", str(EXAMPLES / "Producer.java")]


def _needed(program: str) -> None:
    if shutil.which(program) is None:
        _missing(f"{program} is not there")


def _missing(reason: str) -> NoReturn:
    if os.environ.get("LOOKSTREAM_REQUIRE_SERVERS") == "1":
        pytest.fail(f"required: {reason}", pytrace=False)
    pytest.skip(reason)
