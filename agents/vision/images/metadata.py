"""Remove the metadata of a photo without decoding its pixels: place, time, camera, previews, texts.

The result keeps the pixels bit by bit, the colour profile, and how the picture is turned. Bytes
after the image's end (a phone maker's trailer, a video) are removed too.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from agents.vision.images import boxed_metadata

_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_SOS = 0xDA
_DECODED = frozenset((*range(0xC0, 0xD0), _SOS, 0xDB, 0xDC, 0xDD))
"""Markers of a JPEG's frames, tables, scans and restart intervals."""
# Parts of a PNG that describe pixels, colours or frames. All others are left out.
_PNG_PARTS = frozenset(
    (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB",
     b"cICP", b"mDCV", b"cLLI", b"bKGD", b"acTL", b"fcTL", b"fdAT")
)  # fmt: skip
_WEBP_PARTS = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04
_FRAME_PARTS = frozenset((b"VP8 ", b"VP8L", b"ALPH"))
_FRAME_HEAD = 16
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


def without_metadata(data: bytes, kind: str, turn: int) -> bytes:
    """Return a photo of one of `formats.ACCEPTED` without metadata.

    ``data`` ends with the image; ``turn`` is EXIF's orientation, 1 to 8, which is kept. Raises
    ValueError or IndexError if the structure is broken.
    """
    if kind == "JPEG":
        return _jpeg(data, turn)
    if kind == "PNG":
        return _png(data, turn)
    if kind == "WEBP":
        return _webp(data, turn)
    if kind == "GIF":
        return _gif(data)
    return boxed_metadata.cleaned(data, b"\0\0\0\0" + _orientation(turn))


def _orientation(turn: int) -> bytes:
    """Return EXIF metadata with nothing but the orientation."""
    return struct.pack("<4sIHHHIHHI", b"II*\0", 8, 1, 0x0112, 3, 1, turn, 0, 0)


# -- JPEG --------------------------------------------------------------------------------------


def _jpeg(data: bytes, turn: int) -> bytes:
    parts: list[bytes | memoryview] = [b"\xff\xd8"]
    if turn != 1:
        exif = b"Exif\0\0" + _orientation(turn)
        parts.append(b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif)
    for kind, segment in _segments(data):
        name = bytes(segment[4:18])
        if kind in _DECODED or (kind == 0xE2 and name.startswith(b"ICC_PROFILE\0")):
            parts.append(segment)
        elif kind == 0xE0 and name.startswith(b"JFIF\0") and len(name) >= 14:
            parts.append(b"\xff\xe0\0\x10" + name[:12] + b"\0\0")  # without its preview
        elif kind == 0xEE and name.startswith(b"Adobe") and len(name) >= 12:
            parts.append(b"\xff\xee\0\x0e" + name[:12])  # the colours' transform
    parts.append(b"\xff\xd9")
    return b"".join(parts)


def _segments(data: bytes) -> Iterator[tuple[int, memoryview]]:
    """Yield each segment up to the first end marker, a scan together with its coded pixels."""
    at, view = 2, memoryview(data)
    while marker := _MARKER.search(data, at):
        kind, start = marker[1][0], marker.end() - 2
        if kind == 0xD9:
            return
        if kind in (0x01, 0xD8):
            at = marker.end()
            continue
        end = marker.end() + max(int.from_bytes(data[marker.end() : marker.end() + 2], "big"), 2)
        if kind == _SOS:
            following = _MARKER.search(data, end)
            end = following.start() if following else len(data)
        yield kind, view[start:end]
        at = end


# -- PNG, WebP, GIF ----------------------------------------------------------------------------


def _png(data: bytes, turn: int) -> bytes:
    view = memoryview(data)
    parts, at = [view[:8]], 8
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind in _PNG_PARTS:
            parts.append(view[at : at + 12 + size])
        if kind == b"IHDR" and turn != 1:
            exif = b"eXIf" + _orientation(turn)
            size_of, sum_of = struct.pack(">I", len(exif) - 4), struct.pack(">I", zlib.crc32(exif))
            parts.append(memoryview(size_of + exif + sum_of))
        at += 12 + size
        if kind == b"IEND":
            break
    return b"".join(parts)


def _webp(data: bytes, turn: int) -> bytes:
    parts: list[bytes | memoryview] = []
    end, extended = min(len(data), int.from_bytes(data[4:8], "little") + 8), False
    for kind, content in _chunks(memoryview(data)[:end], 12):
        if kind == b"VP8X" and len(content) >= 10:
            flags = content[0] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if turn != 1 else 0)
            parts += _chunk(kind, bytes([flags]) + content[1:10])
            extended = True
        elif kind == b"ANMF":
            frame: list[bytes | memoryview] = [content[:_FRAME_HEAD]]
            for name, part in _chunks(content, _FRAME_HEAD):
                if name in _FRAME_PARTS:
                    frame += _chunk(name, part)
            parts += _chunk(kind, b"".join(frame))
        elif kind in _WEBP_PARTS:
            parts += _chunk(kind, content)
    if turn != 1 and extended:
        parts += _chunk(b"EXIF", _orientation(turn))
    size = 4 + sum(map(len, parts))
    return b"".join([struct.pack("<4sI4s", b"RIFF", size, b"WEBP"), *parts])


def _chunks(data: memoryview, at: int) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the type and the content of each chunk of a WebP file or of one of its frames."""
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _chunk(kind: bytes, content: bytes | memoryview) -> list[bytes | memoryview]:
    return [struct.pack("<4sI", kind, len(content)), content, bytes(len(content) % 2)]


def _gif(data: bytes) -> bytes:
    at, view = 13 + _colours(data[10]), memoryview(data)
    parts: list[bytes | memoryview] = [view[:at]]
    while at < len(data) and data[at] in (0x21, 0x2C):
        start, extension = at, data[at] == 0x21
        at = _after_blocks(data, at + 2 if extension else at + 11 + _colours(data[at + 9]))
        if not extension:
            parts.append(view[start:at])
        elif data[start + 1] == 0xF9 and data[start + 2] == 4:  # time and transparency of a frame
            parts += [view[start : start + 7], b"\0"]
        elif data[start + 1] == 0xFF and data[start + 3 : start + 14] in _LOOPS:
            loops = data[start + 14 : start + 18]
            parts += [view[start : start + 14], loops, b"\0"] if loops[:2] == b"\3\1" else []
    return b"".join([*parts, b";"])


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    while size := data[at]:
        at += size + 1
    return at + 1
