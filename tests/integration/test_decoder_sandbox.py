"""A photo that takes over the decoder child gains nothing, and every format still decodes."""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agents.inputs.confinement import Confinement, supported
from agents.inputs.decoding import Decoder
from agents.inputs.memory import MemoryBudget
from agents.inputs.sandbox import SandboxPool
from agents.stages.errors import Rejected
from tests.garments import encoded, jpeg, tshirt
from tests.integration.test_decoding import ACCEPTED, children, code_of

KERNEL = supported()
needs_both = pytest.mark.skipif(bool(KERNEL.missing), reason=f"the kernel lacks {KERNEL.missing}")
FILES = (
    "read the secret",
    "list the photos",
    "read own environment",
    "read the parent's environment",
    "open the parent's memory",
    "write a file",
    "delete the secret",
)


def attack(means: Confinement, folder: Path, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run all attacks (or ``only`` some) in a confined decoder child; return the outcomes."""
    secret = folder / "secret"
    secret.write_text("signs links")
    pool = SandboxPool(
        "tests.integration.sandbox_probe", count=1, budget=MemoryBudget(1 << 30), means=means
    )
    targets = {"secret": str(secret), "folder": str(folder), "parent": os.getpid()}
    try:
        found, _ = pool.call({"ask": "attack", "targets": targets, "only": only}, [], 20.0, 20.0)
    finally:
        pool.close()
    assert secret.read_text() == "signs links"
    return found


@needs_both
def test_every_attack_inside_the_decoder_child_is_denied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKSTREAM_SECRET", "the-secret-that-signs-links")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-123")
    with socket.create_server(("127.0.0.1", 0)):  # one more descriptor of the parent
        found = attack(KERNEL, tmp_path)
    files = ("read ", "list ", "open the parent", "write ", "open a terminal")
    for name, outcome in found["outcomes"].items():
        expected = "EACCES" if name.startswith(files) else "EPERM"
        expected = "EPERM" if name == "read the parent's memory" else expected
        assert (name, outcome) == (name, expected)
    assert found["facts"]["environment"] == {}
    assert len(found["facts"]["descriptors"]) == 4, "three silent standard streams, one socket"
    assert "" not in found["facts"]["path"]


@needs_both
def test_seccomp_alone_denies_every_file(tmp_path: Path) -> None:
    found = attack(Confinement(0, True), tmp_path)
    assert set(found["outcomes"].values()) == {"EPERM"}


@needs_both
def test_landlock_alone_denies_every_file_of_others(tmp_path: Path) -> None:
    found = attack(Confinement(KERNEL.landlock, False), tmp_path, FILES)
    assert found["outcomes"] == dict.fromkeys(FILES, "EACCES")


@pytest.mark.parametrize(
    "means",
    [KERNEL, Confinement(0, KERNEL.seccomp), Confinement(KERNEL.landlock, False),
     Confinement(0, False), Confinement(min(KERNEL.landlock, 1), KERNEL.seccomp)],
    ids=["all", "no landlock", "no seccomp", "neither", "first landlock"],
)  # fmt: skip
def test_every_format_decodes_under_every_confinement(means: Confinement) -> None:
    decoder = Decoder(processes=1, confinement=means)
    try:
        for kind, make, _ in ACCEPTED.values():
            data = make()
            assert decoder.inspect(data).format == kind
            (crop,) = decoder.crops(data, [(0.0, 0.0, 0.5, 0.5)])
            assert Image.open(io.BytesIO(crop)).size == (150, 200)
        assert code_of(decoder, b"\x89PNG\r\n\x1a\n" + bytes(40) + b"IEND") == "decode-failed"
    finally:
        decoder.close()


# -- memory ----------------------------------------------------------------------------------


def flat_webp() -> bytes:
    """2 kB that decode to 40 megapixels, which need 700 MiB."""
    return encoded(Image.new("RGB", (8000, 5000)), "WEBP", lossless=True)


def resident(pids: set[int]) -> int:
    """Return the resident bytes of these processes."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def small() -> Iterator[Decoder]:
    """A decoder with a budget for one of the photos below."""
    decoder = Decoder(processes=4, memory_bytes=512 << 20)
    yield decoder
    decoder.close()


def test_photos_wait_for_memory_and_stay_within_the_budget(small: Decoder) -> None:
    photo = encoded(Image.new("RGB", (5000, 4000)), "WEBP", lossless=True)  # needs 376 MiB
    before, peak, done = children(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, resident(children() - before))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(small.inspect, [photo + bytes([n]) for n in range(4)]))
    finally:
        done.set()
        watcher.join()
    assert [one.width for one in found] == [5000] * 4
    idle = 4 * (45 << 20)
    assert 300 << 20 < peak < small.budget.total + idle, f"{peak >> 20} MiB"
    assert small.budget.free == small.budget.total


def test_a_photo_that_needs_more_than_the_budget_is_refused_at_once(small: Decoder) -> None:
    with pytest.raises(Rejected, match="512 MiB") as refused:
        small.inspect(flat_webp())
    assert refused.value.code == "too-much-memory"
    assert small.inspect(jpeg(tshirt((300, 400)))).width == 300


def test_a_header_that_lies_about_the_size_gets_no_more_memory(small: Decoder) -> None:
    frame = encoded(Image.new("P", (9000, 9000)), "GIF")
    lie = frame[:6] + (10).to_bytes(2, "little") * 2 + frame[10:]
    assert code_of(small, lie) in ("too-much-memory", "decode-failed", "truncated-image")
    assert small.budget.free == small.budget.total
