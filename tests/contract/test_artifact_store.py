"""The contract of artifact stores: one suite for the directory and a real MinIO."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lookstream.testing import MemoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.artifacts.store import CHUNK, ArtifactStore
from storage.errors import ArtifactNotFound, InvalidKey
from storage.urls import open_artifacts

SIGNER = LinkSigner(b"a secret of the tests", "http://gateway")
MIB = 1024 * 1024
TEXT = b"0123456789"
HOSTILE = [
    "",
    "/etc/passwd",
    "../up",
    "a/../../up",
    "a/..",
    "a..b",
    "a\\b",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "a\x85b",
    "a//b",
    "a/",
    "./a",
    "a/./b",
    ".lookstream/probe",
    ".",
    "x" * 513,
    "y" * 256,
    "lone \ud800 surrogate",
]


@pytest.fixture(
    params=["directory", "memory", pytest.param("minio", marks=pytest.mark.real_servers)]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "memory"
    if request.param == "directory":
        return f"file://{tmp_path}/artifacts"
    fresh: str = request.getfixturevalue("minio_server").fresh()
    return fresh


@pytest.fixture
def store(url: str) -> ArtifactStore:
    return MemoryArtifacts() if url == "memory" else open_artifacts(url, SIGNER)


def test_what_was_put_can_be_read(store: ArtifactStore) -> None:
    put = store.put("originals/abc", TEXT, content_type="image/webp")
    assert (put.key, put.size, put.content_type) == ("originals/abc", 10, "image/webp")
    assert abs(put.modified - datetime.now(UTC)) < timedelta(minutes=1)
    found = store.stat("originals/abc")
    assert (found.size, found.etag, found.content_type) == (10, put.etag, "image/webp")
    assert abs(found.modified - put.modified) < timedelta(seconds=2)
    assert store.get("originals/abc") == TEXT
    assert store.exists("originals/abc")


def test_another_process_sees_the_same_objects(store: ArtifactStore, url: str) -> None:
    if isinstance(store, MemoryArtifacts):
        pytest.skip("one process holds the memory")
    store.put("a.jpg", TEXT, content_type="image/jpeg")
    other = open_artifacts(url, SIGNER)
    assert other.stat("a.jpg") == store.stat("a.jpg")
    other.delete("a.jpg")
    assert not store.exists("a.jpg")


@pytest.mark.parametrize(
    ("key", "content_type"),
    [
        ("a.jpg", "image/jpeg"),
        ("a.jpg", "text/plain; charset=utf-8"),
        ("a", "image/heic"),
        ("a", "application/octet-stream"),
        ("a.json", "application/json"),
    ],
)
def test_the_content_type_stays_whatever_the_suffix_says(
    store: ArtifactStore, key: str, content_type: str
) -> None:
    store.put(key, b"other", content_type="image/x-other")
    assert store.put(key, TEXT, content_type=content_type).content_type == content_type
    assert store.stat(key).content_type == content_type
    store.delete(key)
    store.put(key, TEXT)
    store.copy(key, "copy.png")
    assert store.stat("copy.png").content_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, TEXT),
        (3, None, b"3456789"),
        (3, 4, b"3456"),
        (0, 1, b"0"),
        (9, 1, b"9"),
        (8, 100, b"89"),
        (0, 0, b""),
        (5, 0, b""),
        (10, None, b""),
        (10, 5, b""),
        (99, None, b""),
        (99, 1, b""),
    ],
)
def test_a_range_is_cut_to_what_is_there(
    store: ArtifactStore, offset: int, length: int | None, expected: bytes
) -> None:
    store.put("digits", TEXT)
    assert store.get("digits", offset=offset, length=length) == expected
    assert b"".join(store.stream("digits", offset=offset, length=length)) == expected


def test_an_empty_object_is_an_object(store: ArtifactStore) -> None:
    store.put("empty", b"")
    assert (store.stat("empty").size, store.get("empty")) == (0, b"")
    assert store.get("empty", length=10) == b""
    assert list(store.stream("empty")) == []


def test_a_stream_comes_in_chunks_and_may_be_left_early(store: ArtifactStore) -> None:
    data = bytes(range(256)) * 6000
    store.put("big", data)
    chunks = list(store.stream("big"))
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= CHUNK
    assert b"".join(store.stream("big", offset=1000, length=MIB)) == data[1000 : 1000 + MIB]
    del chunks
    assert next(iter(store.stream("big")))
    store.stream("big")


class Trickle(io.RawIOBase):
    """A file of ``size`` bytes that is never in memory as a whole. Records the sizes of reads."""

    def __init__(self, size: int, breaks_at: int | None = None) -> None:
        self.left = size
        self.largest = 0
        self.breaks_at = breaks_at

    def read(self, size: int | None = -1) -> bytes:
        if self.breaks_at is not None and self.left <= self.breaks_at:
            raise RuntimeError("the client hung up")
        wanted = self.left if size is None or size < 0 else min(size, self.left)
        self.largest = max(self.largest, wanted)
        self.left -= wanted
        return b"z" * wanted


def test_a_file_is_stored_without_being_read_into_memory(store: ArtifactStore) -> None:
    file = Trickle(17 * MIB + 3)
    info = store.put("incoming/job", file, content_type="image/png")  # type: ignore[arg-type]
    assert info.size == store.stat("incoming/job").size == 17 * MIB + 3
    assert file.largest <= 6 * MIB
    assert store.get("incoming/job", offset=17 * MIB) == b"zzz"


def test_a_small_file_is_stored_too(store: ArtifactStore) -> None:
    assert store.put("small", io.BytesIO(TEXT)).size == 10
    assert store.put("none", io.BytesIO()).size == 0
    assert (store.get("small"), store.get("none")) == (TEXT, b"")


def test_an_upload_that_breaks_off_leaves_what_was_there(store: ArtifactStore) -> None:
    store.put("a", TEXT)
    with pytest.raises(RuntimeError):
        store.put("a", Trickle(7 * MIB, breaks_at=MIB))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        store.put("b", Trickle(7 * MIB, breaks_at=MIB))  # type: ignore[arg-type]
    assert store.get("a") == TEXT
    assert store.list() == ["a"]


def test_what_is_not_there_is_not_found(store: ArtifactStore) -> None:
    store.put("a", TEXT)
    missing: list[Callable[[str], object]] = [
        store.get,
        store.stat,
        store.stream,
        lambda key: store.get(key, offset=3, length=0),
        lambda key: store.copy(key, "copy"),
        lambda key: store.copy(key, key),
    ]
    for key in ("b", "a/b", "b/c/d"):
        for ask in missing:
            with pytest.raises(ArtifactNotFound):
                ask(key)
        assert not store.exists(key)
        store.delete(key)
    assert store.list() == ["a"]


@pytest.mark.parametrize("key", HOSTILE, ids=ascii)
def test_a_hostile_key_is_refused_by_every_method(store: ArtifactStore, key: str) -> None:
    asks: list[Callable[[], object]] = [
        lambda: store.put(key, TEXT),
        lambda: store.get(key),
        lambda: store.stream(key),
        lambda: store.stat(key),
        lambda: store.exists(key),
        lambda: store.copy(key, "b"),
        lambda: store.copy("a", key),
        lambda: store.delete(key),
        lambda: store.signed_link(key, expires_s=60),
    ]
    store.put("a", TEXT)
    for ask in asks:
        with pytest.raises(InvalidKey):
            ask()
    assert store.list() == ["a"]


@pytest.mark.parametrize("prefix", ["../", "/", "a\\", "a\0", ".lookstream/"], ids=ascii)
def test_a_hostile_prefix_is_refused(store: ArtifactStore, prefix: str) -> None:
    with pytest.raises(InvalidKey):
        store.list(prefix)


@pytest.mark.parametrize(
    "key",
    ["prêt-à-porter/ä ö.jpg", "日本/服.png", "a b+c&d=e?f#g%41.jpg", "emoji/👗", "q'\"<>|*:;,@!()"],
)
def test_any_other_key_is_taken_as_it_is(store: ArtifactStore, key: str) -> None:
    store.put(key, TEXT)
    assert store.get(key) == TEXT
    assert store.list() == store.list(key[:2]) == [key]
    store.copy(key, "copies/" + key)
    assert store.get("copies/" + key) == TEXT
    store.delete(key)
    assert store.list() == ["copies/" + key]


def test_a_copy_is_independent_of_its_original(store: ArtifactStore) -> None:
    store.put("incoming/1", TEXT, content_type="image/gif")
    store.copy("incoming/1", "originals/abc")
    store.copy("incoming/1", "originals/abc")
    store.copy("originals/abc", "originals/abc")
    store.put("incoming/1", b"other")
    store.delete("incoming/1")
    assert store.get("originals/abc") == TEXT
    assert store.stat("originals/abc").content_type == "image/gif"
    assert store.list() == ["originals/abc"]


def test_a_copy_may_have_another_content_type(store: ArtifactStore) -> None:
    store.put("uploads/1", TEXT, content_type="text/html")
    store.copy("uploads/1", "originals/abc", content_type="image/gif")
    assert store.get("originals/abc") == TEXT
    assert store.stat("originals/abc").content_type == "image/gif"
    store.copy("originals/abc", "originals/abc", content_type="image/png")
    assert store.stat("originals/abc").content_type == "image/png"


def test_the_last_write_wins_and_changes_the_etag(store: ArtifactStore) -> None:
    first = store.put("a", b"first")
    second = store.put("a", b"secnd")
    assert first.etag != second.etag == store.stat("a").etag
    assert store.get("a") == b"secnd"


def test_a_reader_never_gets_a_partial_object(store: ArtifactStore) -> None:
    versions = [bytes([65 + i]) * (MIB + i * 50_000) for i in range(8)]
    store.put("a", versions[0])
    done = threading.Event()

    def read_on() -> int:
        reads = 0
        while not done.is_set() or reads < 5:
            assert store.get("a") in versions
            reads += 1
        return reads

    with ThreadPoolExecutor(2) as readers:
        reading = [readers.submit(read_on) for _ in range(2)]
        try:
            for round_ in range(24):
                store.put("a", versions[round_ % len(versions)])
        finally:
            done.set()
        assert all(future.result() >= 5 for future in reading)


def test_many_threads_may_write_the_same_key_and_new_ones(store: ArtifactStore) -> None:
    def write(number: int) -> None:
        store.put("same/one", b"%d" % number)
        store.put(f"new/{number}/deep/er", b"%d" % number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(40)))
    assert int(store.get("same/one")) in range(40)
    assert len(store.list("new/")) == 40


def test_a_thousand_keys_are_listed_in_pages(store: ArtifactStore) -> None:
    keys = sorted(f"thumbnails/{i % 50:02}/{i:04}.jpg" for i in range(1000))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: store.put(key, b"x"), [*keys, "zoo", "shots/1"]))
    listed: list[str] = []
    while page := store.list("thumbnails/", after=listed[-1] if listed else "", limit=130):
        assert len(page) == min(130, 1000 - len(listed))
        listed += page
    assert listed == keys
    assert store.list() == ["shots/1", *keys][:1000]
    assert store.list(after="thumbnails/49/0999.jpg") == ["zoo"]


def test_a_listing_is_in_the_keys_own_order(store: ArtifactStore) -> None:
    keys = ["a!", "a-b", "a.b", "a/b", "a/c/d", "a0", "aé", "b"]
    for key in reversed(keys):
        store.put(key, b"x")
    assert store.list() == keys
    assert store.list("a/") == ["a/b", "a/c/d"]
    assert store.list("a/c") == ["a/c/d"]
    assert store.list("a", after="a.b") == ["a/b", "a/c/d", "a0", "aé"]
    assert store.list(after="a/b", limit=2) == ["a/c/d", "a0"]
    assert store.list("none") == store.list(after="zzz") == []


def test_a_check_succeeds_and_leaves_no_object(store: ArtifactStore) -> None:
    store.check()
    assert store.list() == []


@pytest.mark.parametrize(
    "wrong", [{"expires_s": 0}, {"expires_s": 604_801}, {"expires_s": 60, "method": "DELETE"}]
)
def test_a_link_has_its_limits(store: ArtifactStore, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="link"):
        store.signed_link("a", **wrong)  # type: ignore[arg-type]
    assert "a%20b" in store.signed_link("a b", expires_s=604_800)
