"""The format of a file by its first bytes, and truncated files."""

from __future__ import annotations

import pytest

from agents.vision.images.formats import ends_early, is_sequence, sniff
from tests.garments import encoded, jpeg, tshirt

SMALL = tshirt((40, 50))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "AVIF"])
def test_knows_what_pillow_writes_and_where_it_ends(kind: str) -> None:
    data = encoded(SMALL, kind)
    assert sniff(data) == kind
    assert not ends_early(data, kind)
    assert ends_early(data[:-20], kind)
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
def test_tells_the_unknown_from_the_unsupported(data: bytes, kind: str | None) -> None:
    assert sniff(data) == kind


def test_an_iso_box_that_says_it_is_smaller_than_its_own_head_ends_early() -> None:
    assert ends_early(b"\0\0\0\x04ftyp" + bytes(32), "HEIF")
