"""Remove the metadata of a photo without decoding its pixels: place, time, camera, previews, texts.

The result keeps the pixels bit by bit, the colour profile, and how the picture is turned. Bytes
after the image's end (a phone maker's trailer, a video) are removed too.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from agents.vision.images import boxes

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
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_TEXT_ITEMS = (b"Exif", b"mime", b"uri ")


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
    return _boxed(data, turn)


def _orientation(turn: int) -> bytes:
    """Return EXIF metadata with nothing but the orientation."""
    return struct.pack("<4sIHHHIHHI", b"II*\0", 8, 1, 0x0112, 3, 1, turn, 0, 0)


# -- JPEG --------------------------------------------------------------------------------------


def _jpeg(data: bytes, turn: int) -> bytes:
    parts = [b"\xff\xd8"]
    if turn != 1:
        exif = b"Exif\0\0" + _orientation(turn)
        parts.append(b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif)
    for kind, segment in _segments(data):
        name = segment[4:]
        if kind in _DECODED or (kind == 0xE2 and name.startswith(b"ICC_PROFILE\0")):
            parts.append(segment)
        elif kind == 0xE0 and name.startswith(b"JFIF\0") and len(name) >= 14:
            parts.append(b"\xff\xe0\0\x10" + name[:12] + b"\0\0")  # without its preview
        elif kind == 0xEE and name.startswith(b"Adobe") and len(name) >= 12:
            parts.append(b"\xff\xee\0\x0e" + name[:12])  # the colours' transform
    return b"".join(parts) + b"\xff\xd9"


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each segment up to the first end marker, a scan together with its coded pixels."""
    at = 2
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
        yield kind, b"\xff" + data[start + 1 : end]
        at = end


# -- PNG, WebP, GIF ----------------------------------------------------------------------------


def _png(data: bytes, turn: int) -> bytes:
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind in _PNG_PARTS:
            parts.append(data[at : at + 12 + size])
        if kind == b"IHDR" and turn != 1:
            exif = b"eXIf" + _orientation(turn)
            parts.append(struct.pack(">I", len(exif) - 4) + exif)
            parts.append(struct.pack(">I", zlib.crc32(exif)))
        at += 12 + size
    return b"".join(parts)


def _webp(data: bytes, turn: int) -> bytes:
    parts, at, extended = [], 12, False
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        end = at + 8 + size + size % 2
        part = data[at:end]
        if kind == b"VP8X" and size >= 10:
            flags = part[8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if turn != 1 else 0)
            part, extended = part[:8] + bytes([flags]) + part[9:], True
        if kind in _WEBP_PARTS:
            parts.append(part)
        at = end
    if turn != 1 and extended:
        exif = _orientation(turn)
        parts.append(struct.pack("<4sI", b"EXIF", len(exif)) + exif)
    body = b"WEBP" + b"".join(parts)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def _gif(data: bytes) -> bytes:
    at = 13 + _colours(data[10])
    parts = [data[:at]]
    while at < len(data) and data[at] in (0x21, 0x2C):
        start, extension = at, data[at] == 0x21
        at = _after_blocks(data, at + 2 if extension else at + 11 + _colours(data[at + 9]))
        told = extension and data[start + 1] in (0x01, 0xFE)
        if extension and data[start + 1] == 0xFF:
            told = data[start + 3 : start + 14] not in _LOOPS
        parts += [] if told else [data[start:at]]
    return b"".join(parts) + b";"


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    while size := data[at]:
        at += size + 1
    return at + 1


# -- HEIF, AVIF --------------------------------------------------------------------------------


def _boxed(data: bytes, turn: int) -> bytes:
    """Overwrite the metadata, so that no offset in the file changes. EXIF must stay valid."""
    clean = bytearray(data)
    for item in boxes.read(data).items.values():
        if item.kind not in _TEXT_ITEMS:
            continue
        if sum(size for _, size in item.extents) > len(data):
            raise ValueError("parts of an item overlap")
        for at, size in item.extents:
            clean[at : at + size] = bytes(len(clean[at : at + size]))
        exif = b"\0\0\0\0" + _orientation(turn)
        if item.kind == b"Exif" and item.extents and item.extents[0][1] >= len(exif):
            at = item.extents[0][0]
            clean[at : at + len(exif)] = exif
    for start, end in _private_boxes(data):
        clean[start:end] = bytes(end - start)
    return bytes(clean)


def _private_boxes(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the contents of makers' boxes and of user data at the top level and in sequences."""
    for kind, start, end in _walk(data, 0, len(data)):
        if kind in (b"uuid", b"udta", b"free", b"skip"):
            yield start, end


def _walk(data: bytes, at: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= end:
            head, size = 16, int.from_bytes(data[at + 8 : at + 16], "big")
        size = size or end - at
        if size < head or at + size > end:
            return
        yield kind, at + head, at + size
        if kind in (b"moov", b"trak") and depth < 4:
            yield from _walk(data, at + head, at + size, depth + 1)
        at += size
