"""The format of a file by its first bytes, and truncated files."""

from __future__ import annotations

import random
import struct

import pytest

from agents.vision.images import boxes, containers
from agents.vision.images.formats import is_sequence, sniff
from tests.garments import encoded, jpeg, tshirt

SMALL = tshirt((40, 50))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "AVIF"])
def test_pillows_formats_and_their_truncation_are_detected(kind: str) -> None:
    data = encoded(SMALL, kind)
    assert sniff(data) == kind
    assert containers.read(data, kind).end == len(data)
    assert containers.read(data + b"tail", kind).end == len(data)
    assert not containers.read(data, kind).incomplete
    assert not containers.read(data + b"tail", kind).incomplete
    assert containers.read(data[:-20], kind).incomplete
    assert not is_sequence(data)


def test_knows_a_jpeg() -> None:
    assert sniff(jpeg(SMALL)) == "JPEG"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", None),
        (b"\xff", None),
        (b"\xff\xd8", None),
        (b"hello, world", None),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"BM" + bytes(60), "BMP"),
        (b"II*\0" + bytes(60), "TIFF"),
        (b"%PDF-1.7", "PDF"),
        (b"<svg xmlns=", "SVG"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "ISO media"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1miafavif", "AVIF"),
    ],
)
def test_formats_are_detected_by_their_first_bytes(data: bytes, kind: str | None) -> None:
    assert sniff(data) == kind


def test_an_iso_box_that_says_it_is_smaller_than_its_own_head_ends_early() -> None:
    assert containers.read(b"\0\0\0\x04ftyp" + bytes(32), "HEIF").incomplete


def test_a_table_of_endless_entries_of_no_bytes_is_given_up() -> None:
    """Each entry would have 65,535 extents of no bytes."""
    endless = b"\0\0\0\0" + b"\0\0" + b"\xff\xff" + b"\0\1\0\0\xff\xff" * 60_000
    iloc = struct.pack(">I4s", 8 + len(endless), b"iloc") + endless
    meta = struct.pack(">I4sI", 12 + len(iloc), b"meta", 0) + iloc
    assert containers.read(b"\0\0\0\x10ftypheic\0\0\0\0" + meta, "HEIF").end > 0
    items = boxes.read(b"\0\0\0\x10ftypheic\0\0\0\0" + meta).items
    assert sum(len(item.extents) for item in items.values()) <= 100_000


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "AVIF"])
def test_no_truncated_or_changed_file_breaks_the_reader(kind: str) -> None:
    data = encoded(SMALL, kind)
    source = random.Random(7)  # noqa: S311 - not for secrets
    for size in range(12, len(data), max(1, len(data) // 200)):
        containers.read(data[:size], kind)
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(4):
            changed[source.randrange(8, len(data))] = source.randrange(256)
        containers.read(bytes(changed), kind)
