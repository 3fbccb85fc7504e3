"""Estimate from a picture's header how much memory decoding takes.

Runs in the decoding child, before a decoder sees the picture: some decoders allocate when they open
a file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import AvifImagePlugin
from pillow_heif import HeifImageFile

from agents.vision.images import formats, jpeg_ends, picture

_LEAST, _FILE_COPIES = 16 << 20, 3
_DECODED = {"JPEG": 4, "PNG": 4, "GIF": 4, "WEBP": 16, "AVIF": 12, "HEIF": 12}
"""Bytes that the decoder and Pillow need for one pixel, as measured with Pillow 13."""
_CLEANED = {"AVIF": 5, "HEIF": 5}
"""Copies of the file that exist at once while its metadata is removed; 4 in other formats."""
_REOPENED = {"WEBP": 16}
"""Bytes a pixel for opening the copy without metadata. The decoded picture is gone by then."""
_REDUCED_JPEG, _COEFFICIENT = 2, 2
"""Bytes a pixel of a JPEG that is decoded at half its size or less. Bytes that libjpeg keeps for
each pixel and channel of a JPEG with several scans."""
_NUMBERED = 4  # for HDR and P3
_EOI, _TAIL = b"\xff\xd9", 65_536
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_BARE = frozenset(b"\x01\xd8")  # markers without a length: TEM, SOI
_SCAN, _END = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Header:
    """A picture's size in pixels. ``alpha``: transparency is possible. ``kept``: the decoder keeps
    so many bytes a pixel besides the picture."""

    width: int
    height: int
    alpha: bool
    kept: int = 0


def memory(data: bytes, ask: str, *, max_pixels: int, boxes: Sequence[Sequence[Any]] = ()) -> int:
    """Return the bytes that ``ask`` needs for this picture, with a margin over what was measured.

    A picture without a valid header, or with more than ``max_pixels``, will be refused and needs
    little.
    """
    kind = formats.sniff(data)
    least = _LEAST + _FILE_COPIES * len(data)
    if kind not in _READERS:
        return least
    try:
        header = _READERS[kind](data)
    except Exception:  # noqa: BLE001 - the decoder meets the same fault and gives it a code
        return least
    pixels = header.width * header.height
    if pixels > picture.pixel_limit(kind, max_pixels):
        return least
    decoded = _DECODED[kind] + header.kept
    if kind == "JPEG" and ask == "inspect" and _EOI in data[-_TAIL:]:
        decoded = _REDUCED_JPEG + header.kept  # a file without an end is decoded at full size too
    share = max((_area(box) for box in boxes), default=1.0)
    need = least + round(pixels * (decoded + _converting(kind, header.alpha, ask) * share))
    return max(need, _cleaning(len(data), kind, pixels)) if ask == "inspect" else need


def _cleaning(size: int, kind: str, pixels: int) -> int:
    """Return the bytes for the copy without metadata."""
    return _LEAST + _CLEANED.get(kind, 4) * size + pixels * _REOPENED.get(kind, 0)


def _converting(kind: str, alpha: bool, ask: str) -> int:
    """Return the bytes a pixel for reducing the picture, or for its colours at full size."""
    if ask == "inspect":
        return 7 if alpha else 2
    return (14 if alpha else 10) + (_NUMBERED if kind in ("AVIF", "HEIF") else 0)


def _area(box: Sequence[Any]) -> float:
    left, top, right, bottom = (min(max(float(edge), 0.0), 1.0) for edge in box)
    return max(right - left, 0.0) * max(bottom - top, 0.0)


def _jpeg(data: bytes) -> Header:
    """Read the frame header, and whether a second scan follows the first."""
    frame, scans, at, count = None, 0, 2, 0
    while scans < 2 and (marker := _MARKER.search(data, at)):
        count += 1
        if count > jpeg_ends.MAX_SEGMENTS:
            raise ValueError("too many segments")
        code, at = marker[1][0], marker.end()
        if code == _END:
            break
        if code in _BARE:
            continue
        if code in _FRAMES:
            height, width = (int.from_bytes(data[at + n : at + n + 2], "big") for n in (3, 5))
            frame = width, height, data[at + 7]
        scans += code == _SCAN
        at += int.from_bytes(data[at : at + 2], "big")
    if frame is None:
        raise ValueError("no frame")
    return Header(frame[0], frame[1], False, _COEFFICIENT * frame[2] if scans > 1 else 0)


def _png(data: bytes) -> Header:
    width, height = (int.from_bytes(data[n : n + 4], "big") for n in (16, 20))
    return Header(width, height, data[25] in (3, 4, 6) or b"tRNS" in data[:65_536])


def _gif(data: bytes) -> Header:
    width, height = (int.from_bytes(data[n : n + 2], "little") for n in (6, 8))
    return Header(width, height, True)


def _webp(data: bytes) -> Header:
    form = data[12:16]
    if form == b"VP8X":
        width, height = (int.from_bytes(data[n : n + 3], "little") + 1 for n in (24, 27))
        return Header(width, height, bool(data[20] & 0x10))
    if form == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1))
    width, height = (int.from_bytes(data[n : n + 2], "little") & 0x3FFF for n in (26, 28))
    return Header(width, height, False)


def _avif(data: bytes) -> Header:
    with AvifImagePlugin.AvifImageFile(io.BytesIO(data)) as image:
        return Header(*image.size, image.mode == "RGBA")


def _heif(data: bytes) -> Header:
    with HeifImageFile(io.BytesIO(data)) as image:  # type: ignore[no-untyped-call]
        return Header(*image.size, image.mode not in ("L", "RGB"))


_READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "AVIF": _avif,
    "HEIF": _heif,
}
