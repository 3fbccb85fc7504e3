"""Artifacts over HTTP: signed links, ranges, caching. Browsers never show them as a page."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from serving import Serving, embedded_broker, serving

KEY = "thumbnails/ab/128x128.jpg"
CONTENT = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        running.artifacts.put(KEY, CONTENT, content_type="image/jpeg")
        yield running


@pytest.fixture
def link(gateway: Serving) -> str:
    return gateway.signer.sign(KEY, expires_s=60)


def test_a_link_gives_the_whole_artifact(link: str) -> None:
    answer = httpx.get(link)
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_head_gives_the_same_without_the_bytes(link: str) -> None:
    answer = httpx.head(link)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(CONTENT))


def test_what_is_held_already_is_not_sent_again(link: str) -> None:
    etag = httpx.get(link).headers["etag"]
    answer = httpx.get(link, headers={"if-none-match": etag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag
    assert httpx.get(link, headers={"if-none-match": '"another"'}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=300000-", 300000, len(CONTENT)), ("bytes=-5", -5, None)],
)
def test_a_single_range(link: str, asked: str, start: int, end: int | None) -> None:
    answer = httpx.get(link, headers={"range": asked})
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:end]
    first = start % len(CONTENT)
    last = first + len(answer.content) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"


def test_a_range_outside_and_a_range_of_another_version(link: str) -> None:
    outside = httpx.get(link, headers={"range": f"bytes={len(CONTENT)}-"})
    assert (outside.status_code, outside.json()["code"]) == (416, "range-not-satisfiable")
    assert outside.headers["content-range"] == f"bytes */{len(CONTENT)}"
    other = httpx.get(link, headers={"range": "bytes=0-9", "if-range": '"another"'})
    assert (other.status_code, other.content) == (200, CONTENT)


def test_a_browser_saves_the_artifact_under_its_name(gateway: Serving) -> None:
    named = gateway.signer.sign(KEY, expires_s=60, filename="Kleid ä.jpg")
    answer = httpx.get(named)
    assert answer.status_code == 200
    expected = "inline; filename=\"Kleid _.jpg\"; filename*=UTF-8''Kleid%20%C3%A4.jpg"
    assert answer.headers["content-disposition"] == expected
    for changed in (named.replace("Kleid", "Hose"), named.replace("filename=", "f=")):
        assert httpx.get(changed).status_code in (403, 422)


def test_links_that_were_tampered_with(gateway: Serving, link: str) -> None:
    other = link.replace("128x128", "512x512")
    longer = httpx.URL(link).copy_merge_params({"expires": "9999999999"})
    writing = gateway.signer.sign(KEY, expires_s=60, method="PUT")
    for bad in (other, longer, writing, link[:-1], link + "é"):
        answer = httpx.get(bad)
        assert (answer.status_code, answer.json()["code"]) == (403, "invalid-link"), bad


def test_links_past_their_time_and_without_signature(gateway: Serving, link: str) -> None:
    expired = httpx.get(gateway.signer.sign(KEY, expires_s=60, now=1_000_000_000))
    assert (expired.status_code, expired.json()["code"]) == (403, "link-expired")
    bare = httpx.get(link.partition("?")[0])
    assert (bare.status_code, bare.json()["code"]) == (422, "invalid-request")


def test_what_is_not_there(gateway: Serving) -> None:
    answer = httpx.get(gateway.signer.sign("shots/none.jpg", expires_s=60))
    assert (answer.status_code, answer.json()["code"]) == (404, "artifact-not-found")


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/json"])
def test_what_is_no_picture_is_downloaded_never_shown(gateway: Serving, kind: str) -> None:
    gateway.artifacts.put("originals/page", b"<script>alert(1)</script>", content_type=kind)
    answer = httpx.get(gateway.signer.sign("originals/page", expires_s=60))
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
