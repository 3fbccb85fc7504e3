"""Links that are signed for MinIO work for a client without credentials."""

from __future__ import annotations

import urllib.request
from urllib.error import HTTPError

import pytest

from storage.artifacts.links import LinkSigner
from storage.urls import open_artifacts
from tests.servers import MinioServer


def follow(link: str, method: str = "GET", data: bytes | None = None) -> bytes:
    request = urllib.request.Request(link, data=data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        body: bytes = answer.read()
        return body


def test_a_link_reads_or_writes_one_object_and_no_more(minio_server: MinioServer) -> None:
    store = open_artifacts(minio_server.fresh(), LinkSigner(b"0123456789abcdef", ""))
    store.put("a b/é.txt", b"hello")
    store.put("other", b"secret")
    read = store.signed_link("a b/é.txt", expires_s=600)
    assert follow(read) == b"hello"
    assert store.signed_link("a b/é.txt", expires_s=86_400).split("?")[0] == read.split("?")[0]
    write = store.signed_link("new", expires_s=600, method="PUT")
    follow(write, "PUT", b"written")
    assert store.get("new") == b"written"
    for link, method in (
        (read.replace("txt?", "tx?"), "GET"),
        (read, "PUT"),
        (read.split("?")[0], "GET"),
        (write, "GET"),
    ):
        with pytest.raises(HTTPError) as refusal:
            follow(link, method, b"x" if method == "PUT" else None)
        assert refusal.value.code == 403
        refusal.value.close()


def test_a_link_for_writing_accepts_only_its_size(minio_server: MinioServer) -> None:
    signer = LinkSigner(b"0123456789abcdef", "")
    url = minio_server.fresh()
    host = url.rpartition("@")[2].partition("/")[0]
    for options in ("", f"&links=http://{host}"):
        store = open_artifacts(url + options, signer)
        for number, key in enumerate(("uploads/a", "uploads/b é+~&=")):
            link = store.signed_link(key, expires_s=600, method="PUT", size=7 + number)
            for body in (b"", b"x" * 6, b"x" * 9, b"x" * 1_000_000):
                with pytest.raises(HTTPError) as refusal:
                    follow(link, "PUT", body)
                assert refusal.value.code == 403
                refusal.value.close()
            assert not store.exists(key)
            follow(link, "PUT", b"x" * (7 + number))
            assert store.stat(key).size == 7 + number
            store.delete(key)
