"""Requests to the gateway, and functions that write the updates and artifacts of stages."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from serving import GRAPH, Serving

from storage.artifacts import keys
from storage.jobs.store import JobUpdate, StageCompleted

JPEG = b"\xff\xd8\xff\xe0 not really a photo, and the gateway never looks"
NOBODY = "01a20801-845d-768b-82dd-f448762e99cb"


@contextmanager
def client(gateway: Serving) -> Iterator[httpx.Client]:
    """Yield a client of the gateway."""
    with httpx.Client(base_url=gateway.url, timeout=20, trust_env=False) as http:
        yield http


def submit(http: httpx.Client, *photos: bytes, **form: Any) -> list[dict[str, Any]]:
    """Submit photos; return their entries in the answer."""
    files = [("files", ("p.jpg", each)) for each in photos]
    answer = http.post("/v1/jobs", files=files, data=form)
    assert answer.status_code == 202, answer.text
    entries: list[dict[str, Any]] = answer.json()["jobs"]
    return entries


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of a problem document; assert that the document is complete."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:lookstream:problem:{body['code']}"
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == answer.request.url.path
    return answer.status_code, body["code"]


def apply(gateway: Serving, *updates: JobUpdate) -> None:
    """Write updates, as tracking does."""
    asyncio.run(gateway.jobs.apply(updates))


def completed(
    job_id: str, stages: tuple[str, ...] = GRAPH.names, run: int = 1, **results: Any
) -> list[StageCompleted]:
    """Return the updates that tracking writes for completed stages."""
    now = datetime.now(UTC)
    return [
        StageCompleted(job_id, run, now, stage, results.get(stage, {"model": "m1"}), stages)
        for stage in stages
    ]


def validated(gateway: Serving, content: bytes) -> dict[str, Any]:
    """Store a photo and its artifacts, as the stages do; return validation's result."""
    sha256 = hashlib.sha256(content).hexdigest()
    made = (
        keys.original(sha256),
        keys.working(sha256),
        keys.copy(sha256, "JPEG"),
        keys.thumbnail(sha256, 128, 128),
        keys.shot(sha256, "v1", "neck"),
        keys.annotated(sha256, "v1"),
        keys.cutout(sha256, "v1"),
        keys.result(sha256, "captioning", "v1"),
    )
    for key in made:
        gateway.artifacts.put(key, content)
    return {
        "sha256": sha256,
        "perceptual_hash": "0f",
        "original": keys.original(sha256),
        "working": keys.working(sha256),
        "width": 3000,
        "height": 4000,
        "format": "JPEG",
        "bytes": len(content),
        "animated": False,
        "copy_format": "JPEG",
    }
