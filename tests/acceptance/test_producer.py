"""Producers that use none of our code: any Kafka client works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from tests.acceptance.photos import photo, sha256
from tests.acceptance.rest import Job, all_completed
from tests.acceptance.system import System
from tests.acceptance.topics import (
    SUBMITTED,
    attributes,
    headers,
    new_job_id,
    publish,
    publish_event,
    submission,
)
from tests.acceptance.website import Website
from tests.polling import until


def test_kcat_can_submit(system: System, website: Website) -> None:
    kcat = _kcat()
    content, job_id = photo("kcat"), new_job_id()
    data = submission(job_id, website.put("/dress.jpg", content))
    options = [f"-Hce_{name}={value}" for name, value in attributes().items()]
    target = ["-b", system.info["kafka"], "-t", SUBMITTED, "-k", job_id]
    subprocess.run(
        [kcat, "-P", *target, *options, "-Hcontent-type=application/json"],
        input=json.dumps(data).encode(),
        check=True,
        timeout=30,
    )
    job = _completed(system, job_id)
    assert job["original"]["sha256"] == sha256(content)
    assert job["caption"]
    assert len(job["top5"]) == 5


def test_structured_mode(system: System, website: Website) -> None:
    content, job_id = photo("structured"), new_job_id()
    data = submission(job_id, website.put("/shirt.jpg", content), metadata={"sku": "A 17"})
    event = {**attributes(subject=job_id, datacontenttype="application/json"), "data": data}
    value = json.dumps(event).encode()
    as_event = [("content-type", b"application/cloudevents+json; charset=utf-8")]
    publish(system.info["kafka"], job_id, value, as_event)
    job = _completed(system, job_id)
    assert job["original"]["sha256"] == sha256(content)
    assert job["metadata"] == {"sku": "A 17"}


def test_binary_mode_with_unknown_fields(system: System, website: Website) -> None:
    content = photo("binary")
    url = website.put("/trousers.jpg", content)
    data = submission(new_job_id(), url, stages=["thumbnailing"], colour_of_the_week="teal")
    job_id = publish_event(system.info["kafka"], data, subject=data["job_id"], shopversion="9")
    job = _completed(system, job_id)
    assert set(job["stages"]) == {"validation", "thumbnailing"}
    assert job["original"]["sha256"] == sha256(content)


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_any_compression(system: System, website: Website, compression: str) -> None:
    job_id, url = new_job_id(), website.put("/packed.jpg", photo("compressed"))
    # Clients send incompressible data uncompressed, so this data repeats.
    data = submission(job_id, url, stages=["thumbnailing"], metadata={"note": "so soft " * 200})
    value = json.dumps(data).encode()
    publish(system.info["kafka"], job_id, value, headers(), compression)
    assert _completed(system, job_id)["metadata"] == data["metadata"]


def test_a_known_url_is_requested_conditionally(system: System, website: Website) -> None:
    url = website.put("/known.jpg", photo("a known URL"))
    broker = system.info["kafka"]

    def run(**more: object) -> Job:
        return _completed(system, publish_event(broker, submission(new_job_id(), url, **more)))

    first = run()
    assert website.answers == {("/known.jpg", 200): 1}
    assert _reused(first) == set()

    before = system.computed()
    again = run()
    assert website.answers == {("/known.jpg", 200): 1, ("/known.jpg", 304): 1}
    assert _reused(again) == set(again["stages"])
    assert system.computed() == before
    assert again["caption"] == first["caption"]

    forced = run(force=True)
    assert website.answers == {("/known.jpg", 200): 2, ("/known.jpg", 304): 1}
    assert _reused(forced) == set()
    stages = set(forced["stages"])  # other counts are of work that takes long
    assert system.computed() == {name: n + (name in stages) for name, n in before.items()}


def test_a_url_that_has_changed_is_processed_again(system: System, website: Website) -> None:
    one, two = photo("before the change"), photo("after the change")
    broker = system.info["kafka"]
    for content in (one, two):
        url = website.put("/changing.jpg", content)
        job = _completed(system, publish_event(broker, submission(new_job_id(), url)))
        assert job["original"]["sha256"] == sha256(content)
        assert _reused(job) == set()
    assert website.answers == {("/changing.jpg", 200): 2}


def _completed(system: System, job_id: str) -> Job:
    until(lambda: system.job(job_id))
    (job,) = all_completed([system.finish(job_id)])
    return job


def _reused(job: Job) -> set[str]:
    return {name for name, stage in job["stages"].items() if stage["reused"]}


def _kcat() -> str:
    found = shutil.which("kcat")
    if found is None:
        if os.environ.get("LOOKSTREAM_REQUIRE_SERVERS") == "1":
            pytest.fail("kcat is required")
        pytest.skip("kcat is not there")
    return found
