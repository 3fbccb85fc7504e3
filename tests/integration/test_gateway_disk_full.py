"""A gateway whose stores share a full disk: uploads are refused, and jobs can be deleted."""

from __future__ import annotations

import httpx
from asking import apply, client, completed, problem, submit, validated
from serving import embedded_broker, serving

from tests.small_disk import SmallDisk, small_disk

__all__ = ["small_disk"]
FULL = (507, "storage-full")
PHOTO = b"\xff\xd8\xff\xe0" + b"x" * 250_000


def test_a_full_disk_refuses_uploads_and_allows_deletions(small_disk: SmallDisk) -> None:
    with (
        embedded_broker() as broker,
        serving(small_disk.path, broker) as gateway,
        client(gateway) as http,
    ):
        (job,) = submit(http, PHOTO)
        (waiting,) = submit(http, PHOTO + b"2")
        result = validated(gateway, PHOTO)
        apply(gateway, *completed(job["job_id"], validation=result))
        link = http.post("/v1/uploads").json()
        small_disk.fill()
        for answer in (
            http.post("/v1/jobs", files={"files": ("p.jpg", PHOTO)}),
            http.put(link["url"], content=PHOTO),
        ):
            assert problem(answer) == FULL
        for entry in (job, waiting):
            path = entry["links"]["self"]
            assert http.delete(path).status_code == 204
            assert http.get(path).status_code == 404
        left = [key for key in gateway.artifacts.list() if result["sha256"] in key]
        assert left == []
        assert gateway.artifacts.list("incoming/") == []
        small_disk.free()
        assert submit(http, PHOTO)
        assert httpx.put(link["url"], content=PHOTO).status_code == 201
