"""The files of the directory store on disk."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner


def opened(root: Path) -> DirectoryArtifacts:
    return DirectoryArtifacts(root, LinkSigner(b"0123456789abcdef", ""))


def test_a_deleted_object_leaves_no_directory_that_names_it(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.put("results/abc/pose@1.json", b"{}")
    store.put("results/abd/pose@1.json", b"{}")
    store.delete("results/abc/pose@1.json")
    assert sorted(each.name for each in (tmp_path / "results").iterdir()) == ["abd"]


def test_concurrent_writes_and_deletions_in_one_directory_succeed(tmp_path: Path) -> None:
    store, ended = opened(tmp_path), threading.Event()

    def come_and_go(name: str) -> None:
        store.put(f"claims/abc/{name}", b"")
        assert store.get(f"claims/abc/{name}") == b""
        store.delete(f"claims/abc/{name}")

    def beside() -> None:
        while not ended.is_set():
            come_and_go("one")

    other = threading.Thread(target=beside)
    other.start()
    try:
        for _ in range(300):
            come_and_go("two")
    finally:
        ended.set()
        other.join()
    assert store.list() == []


@pytest.mark.parametrize(("age_s", "left"), [(2 * 86_400, 0), (60, 1)])
def test_temporary_files_are_removed_after_a_day(tmp_path: Path, age_s: float, left: int) -> None:
    unfinished = tmp_path / ".lookstream" / "unfinished"
    opened(tmp_path).check()
    (unfinished / "tmpabc").write_bytes(b"half a photo")
    written = time.time() - age_s
    os.utime(unfinished / "tmpabc", (written, written))
    opened(tmp_path)
    assert len(list(unfinished.iterdir())) == left
