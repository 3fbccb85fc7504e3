"""The memory budget of the decoder children, and what a photo's header says that it needs."""

from __future__ import annotations

import socket
import struct
import threading
import tracemalloc
import zlib
from pathlib import Path

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from agents.inputs.decoding import Decoder
from agents.inputs.memory import (
    LEAST,
    MOST,
    BudgetExceeded,
    MemoryBudget,
    default_budget,
    memory_limit,
)
from agents.inputs.messages import receive, send
from agents.stages.errors import Unavailable
from agents.vision.images import cost, picture
from tests.garments import encoded, jpeg

MIB = 1 << 20


def test_the_budget_is_shared_in_the_order_of_asking() -> None:
    budget, entered = MemoryBudget(100), []
    leave_first, threads = threading.Event(), []
    inside = threading.Event()

    def hold(name: str, size: int, until: threading.Event | None) -> None:
        with budget.reserve(size):
            entered.append(name)
            inside.set()
            if until:
                until.wait(5)

    def start(*arguments: object) -> None:
        threads.append(threading.Thread(target=hold, args=arguments))
        threads[-1].start()

    start("first", 80, leave_first)
    assert inside.wait(5)
    start("large", 90, None)
    while budget.waiting < 1:
        threading.Event().wait(0.001)
    start("small", 10, None)  # fits, but must not overtake, or a large photo waits forever
    while budget.waiting < 2:
        threading.Event().wait(0.001)
    assert entered == ["first"]
    leave_first.set()
    for thread in threads:
        thread.join(5)
    assert entered == ["first", "large", "small"]
    assert budget.free == 100


def test_more_than_the_budget_is_refused_and_an_error_frees_the_memory() -> None:
    budget = MemoryBudget(100)
    with pytest.raises(BudgetExceeded), budget.reserve(101):
        pass
    with pytest.raises(ZeroDivisionError), budget.reserve(60):
        raise ZeroDivisionError
    assert budget.free == 100


def test_a_wait_with_a_limit_ends_and_lets_others_pass() -> None:
    budget = MemoryBudget(100)
    with budget.reserve(60):
        with pytest.raises(TimeoutError), budget.reserve(90, wait_s=0.01):
            pass
        assert budget.waiting == 0
        with budget.reserve(40, wait_s=0.01):
            assert budget.free == 0
    assert budget.free == 100


def test_a_received_photo_is_in_memory_only_once() -> None:
    """Two copies of a photo of 50 MB would count twice, in the worker and in its child."""
    ours, theirs = socket.socketpair()
    photo = bytes(20 * MIB)
    with ours, theirs:
        sender = threading.Thread(target=send, args=(theirs, {"ask": "inspect"}, [photo]))
        sender.start()
        tracemalloc.start()
        try:
            _, blobs = receive(ours)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        sender.join(5)
    assert blobs == [photo]
    assert peak < 1.3 * len(photo)


def test_large_photos_take_turns_and_small_ones_do_not_wait() -> None:
    """A photo that waits too long is tried again later: it is not lost."""
    decoder = Decoder(processes=1, room_wait_s=0.01)
    with decoder.room(40_000_000, quick_s=1):
        with decoder.room(5_000_000, quick_s=1), decoder.room(40_000_000):
            pass  # a small photo, and one that takes long
        with pytest.raises(Unavailable), decoder.room(40_000_000, quick_s=1):
            pass
    with decoder.room(900_000_000), pytest.raises(TimeoutError):
        raise TimeoutError  # of the caller, for example of its store


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/\n", {"memory.max": 512 * MIB}, 512),
        ("0::/a/b\n", {"a/memory.max": 300 * MIB, "a/b/memory.max": "max"}, 300),
        ("0::/a\n", {"a/memory.high": 200 * MIB, "a/memory.max": 300 * MIB}, 200),
        ("0::/docker/123\n", {"memory.max": 256 * MIB}, 256),
        ("4:memory:/x\n0::/\n", {"memory/x/memory.limit_in_bytes": 128 * MIB}, 128),
        ("3:cpu,memory:/gone\n", {"memory/memory.limit_in_bytes": 64 * MIB}, 64),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": 9223372036854771712}, None),
        ("0::/\n", {}, None),
    ],
)  # fmt: skip
def test_the_limit_is_the_least_of_all_control_groups(
    tmp_path: Path, groups: str, files: dict[str, object], limit: int | None
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, value in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    machine = memory_limit(tmp_path / "nothing")
    assert memory_limit(tmp_path) == (machine if limit is None else limit * MIB)


def test_the_default_budget_is_half_of_the_limit_within_bounds() -> None:
    assert default_budget(1 << 30) == 512 * MIB
    assert default_budget(64 * MIB) == LEAST
    assert default_budget(1 << 40) == MOST


register_heif_opener()
SIZE = (640, 480)
RGB = Image.new("RGB", SIZE, "red")


@pytest.mark.parametrize(
    ("data", "each"),
    [
        (jpeg(RGB), 4),
        (jpeg(RGB, progressive=True), 10),
        (jpeg(RGB.convert("L")), 4),
        (encoded(RGB, "PNG"), 6),
        (encoded(RGB.convert("RGBA"), "PNG"), 11),
        (encoded(RGB.convert("P"), "GIF"), 11),
        (encoded(RGB, "WEBP"), 18),
        (encoded(RGB, "WEBP", lossless=True), 18),
        (encoded(Image.new("RGBA", SIZE, (9, 9, 9, 9)), "WEBP", lossless=True), 23),
        (encoded(Image.new("RGBA", SIZE, (9, 9, 9, 9)), "WEBP"), 23),
        (encoded(RGB, "AVIF"), 14),
        (encoded(RGB, "HEIF"), 14),
    ],
)
def test_the_header_tells_how_much_memory_a_photo_needs(data: bytes, each: int) -> None:
    need = cost.memory(data, "inspect", max_pixels=10**6)
    assert need - cost.memory(data, "inspect", max_pixels=1) == 640 * 480 * each


MUCH = 40_000_000


def large(kind: str) -> bytes:
    """Return a small picture in a large file, whose bytes all stay in the copy if possible."""
    small = encoded(RGB, kind)
    if kind == "JPEG":
        profile = b"\xff\xe2\xff\xffICC_PROFILE\0\1\1" + bytes(65_533 - 14)
        return small[:2] + profile * (MUCH // 65_537) + small[2:]
    if kind == "PNG":
        head = struct.pack(">I4s", MUCH, b"IDAT")
        pixels = (
            head + bytes(MUCH) + struct.pack(">I", zlib.crc32(bytes(MUCH), zlib.crc32(b"IDAT")))
        )
        return small[:-12] + pixels + small[-12:]
    if kind == "WEBP":
        chunk = b"META" + struct.pack("<I", MUCH) + bytes(MUCH)
        return small[:4] + struct.pack("<I", len(small) - 8 + len(chunk)) + small[8:] + chunk
    return small + struct.pack(">I4s", MUCH + 8, b"free") + bytes(MUCH)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_the_copy_without_metadata_is_counted(kind: str) -> None:
    """The need is the child's limit of memory. It covers all copies of a large file."""
    data = large(kind)
    tracemalloc.start()
    try:
        found = picture.inspect(data, max_pixels=10**6)
        peak = len(data) + tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.copy_format == kind
    assert peak < cost.memory(data, "inspect", max_pixels=10**6)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"GIF89a", b"RIFF....WEBPVP8X", b"text"])
def test_a_broken_header_needs_little(data: bytes) -> None:
    assert cost.memory(data, "inspect", max_pixels=10**9) <= 17 * MIB
