"""JPEG files without their end marker (EOI), and JPEG files with too many scans.

A decoder that runs out of data fills the rest of the picture with grey, and does not tell. So the
file is decoded with different bytes after its end. If the pictures differ, the decoder needed more
than the file has.
"""

from __future__ import annotations

import io
import random
import re
import zlib
from collections.abc import Iterator
from itertools import islice

from PIL import JpegImagePlugin

_EOI = b"\xff\xd9"
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_RESTARTS = re.compile(rb"\xff[\xd0-\xd7]")
_SOS = 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STRIP = 256
MAX_SEGMENTS, _MAX_FILL = 100_000, 65_536
"""Pillow reads each segment, and each fill byte between segments, in Python."""


def _junk(seed: int) -> bytes:
    """Return 64 bytes that contain no marker."""
    return random.Random(seed).randbytes(64).replace(b"\xff", b"\xfe")  # noqa: S311 - no secret


_ONE, _OTHER = _junk(1), _junk(2)


def with_end(data: bytes) -> bytes | None:
    """Return ``data`` with an end marker if only that is missing; None if more is missing.

    Decodes up to five times. Only a complete file passes; a few complete files of flat colour, with
    several scans and restart markers, do not.
    """
    whole = data.removesuffix(b"\xff")
    picture = _picture(whole + _ONE + _EOI) if _all_scans(whole) else None
    if picture is None:
        return None
    last = whole.rfind(b"\xff\xda")
    count = len(_RESTARTS.findall(whole, last))
    restart = bytes((0xFF, 0xD0 + count % 8))  # the decoder reads on only after this marker
    others = (_OTHER, restart + _ONE, restart + _OTHER)
    if any(_picture(whole + more + _EOI) != picture for more in others):
        return None
    # If the last bytes do not matter either, then the end of the scan was replaced: by zeros,
    # for example, after an interrupted download.
    if _picture(whole[:-8].rstrip(b"\xff") + _OTHER + _EOI) == picture:
        return None
    return whole + _EOI


def _picture(data: bytes) -> int | None:
    """Return a checksum of the decoded pixels, None without a picture.

    Strips keep the memory at one picture.
    """
    found = 0
    try:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        image.load()
        for top in range(0, image.height, _STRIP):
            box = (0, top, image.width, min(top + _STRIP, image.height))
            found = zlib.crc32(image.crop(box).tobytes(), found)
    except (OSError, SyntaxError, ValueError):
        return None
    return found


def scans(data: bytes, most: int) -> int:
    """Count the scans of a JPEG up to its first end marker, but at most ``most`` scans.

    Raises SyntaxError for a file of more than 100,000 segments or with a gap between them.
    """
    found = (kind for kind, _ in _segments(data) if kind == _SOS)
    return sum(1 for _ in islice(found, most))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each segment's marker and content up to the end marker; skip coded pixels."""
    at, count, pixels = 2, 0, False
    while marker := _MARKER.search(data, at):
        count += 1
        if count > MAX_SEGMENTS or (marker.start() - at > _MAX_FILL and not pixels):
            raise SyntaxError("too many segments or fill bytes")
        at, kind = marker.end(), marker[1][0]
        if kind == 0xD9:
            return
        if kind == 0x01 or kind == 0xD8:
            continue
        size = max(int.from_bytes(data[at : at + 2], "big"), 2)
        pixels = pixels or kind == _SOS
        yield kind, data[at + 2 : at + size]
        at += size


def _all_scans(data: bytes) -> bool:
    """Tell whether the scans bring every coefficient of every component in full precision."""
    missing: dict[int, set[int]] = {}
    for kind, content in _segments(data):
        if kind in _FRAMES and len(content) >= 6:
            missing = {component: set(range(64)) for component in content[6::3]}
        elif kind == _SOS and content and len(content) >= 4 + 2 * content[0]:
            first, last, precision = content[-3:]
            if precision & 15 == 0:
                for component in content[1 : 1 + 2 * content[0] : 2]:
                    missing.get(component, set()).difference_update(range(first, last + 1))
    return bool(missing) and not any(missing.values())
