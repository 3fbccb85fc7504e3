"""Read what a file's own structure says: is it complete, where does it end, how is it turned.

Decoders differ in this. Some of them fill missing parts with grey without an error, and some of
them refuse an intact picture with other bytes after its end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from agents.vision.images import boxes

Cicp = tuple[int, int]
"""Numbers of the colour primaries and of the transfer function (ITU-T H.273)."""


@dataclass(frozen=True)
class Container:
    """What the structure says.

    ``end``: later bytes are no part of the image (a phone maker's trailer, a video, a ZIP).
    ``incomplete``: bytes of the image are missing. ``size``: width and height in pixels, if a
    decoder needs much memory to tell them. ``cicp``: colours told by numbers. ``turned``: the
    container says how the picture is turned, so EXIF does not count. ``exif``: the metadata,
    if the decoder does not return it.
    """

    end: int
    incomplete: bool = False
    size: tuple[int, int] | None = None
    cicp: Cicp | None = None
    turned: bool = False
    exif: bytes = b""


def read(data: bytes, kind: str) -> Container:
    """Read the structure of ``data``, a file of one of `formats.ACCEPTED`."""
    if kind == "PNG":
        return _png(data)
    if kind == "GIF":
        return _gif(data)
    if kind == "WEBP":
        return _webp(data)
    if kind in ("AVIF", "HEIF"):
        return _boxed(data)
    return Container(len(data))


_IEND = b"\0\0\0\0IEND\xae\x42\x60\x82"


def _png(data: bytes) -> Container:
    at, cicp, pixels = 8, None, False
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if not kind.isalpha():
            return Container(len(data))
        if kind == b"IEND":
            return Container(at + 12, cicp=cicp)
        if kind == b"cICP" and size == 4:
            cicp = data[at + 8], data[at + 9]
        pixels = pixels or kind == b"IDAT"
        at += 12 + size
    # A missing IEND does not matter: the decoder tells whether all pixels are there.
    whole = pixels and at <= len(data) and _IEND.startswith(data[at:])
    return Container(len(data), incomplete=not whole, cicp=cicp)


def _gif(data: bytes) -> Container:
    try:
        at, frames = 13 + _colours(data[10]), 0
        while at < len(data):
            if data[at] == 0x21:  # an extension
                at = _after_blocks(data, at + 2)
            elif data[at] == 0x2C:  # a frame
                at = _after_blocks(data, at + 11 + _colours(data[at + 9]))
                frames += 1
            elif data[at] == 0x3B:
                return Container(at + 1)
            else:
                break
    except IndexError:
        return Container(len(data), incomplete=True)
    return Container(at, incomplete=frames == 0)


def _colours(flags: int) -> int:
    """Return the size of a colour table in bytes."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    while size := data[at]:
        at += size + 1
    return at + 1


def _webp(data: bytes) -> Container:
    end = int.from_bytes(data[4:8], "little") + 8
    return Container(end, incomplete=end > len(data), size=_webp_size(data))


def _webp_size(data: bytes) -> tuple[int, int] | None:
    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little")

    if data[12:16] == b"VP8X":
        return number(24, 3) + 1, number(27, 3) + 1
    if data[12:16] == b"VP8L":
        return (number(21, 4) & 0x3FFF) + 1, (number(21, 4) >> 14 & 0x3FFF) + 1
    if data[12:16] == b"VP8 ":
        return number(26, 2) & 0x3FFF, number(28, 2) & 0x3FFF
    return None


def _boxed(data: bytes) -> Container:
    file = boxes.read(data)
    if b"moov" in file.kinds or b"meta" not in file.kinds:  # a sequence, or nothing known
        incomplete = file.cut or not {b"meta", b"moov", b"broken"} & set(file.kinds)
    else:
        extents = (extent for item in file.items.values() for extent in item.extents)
        incomplete = any(at + size > len(data) for at, size in extents)
    colours = [one for one in file.of_primary(b"colr") if one[:4] == b"nclx" and len(one) >= 8]
    return Container(
        len(data) if file.cut else file.end,
        incomplete=incomplete,
        cicp=struct.unpack_from(">HH", colours[0], 4) if colours else None,
        turned=bool(file.of_primary(b"irot") or file.of_primary(b"imir")),
        exif=file.content(data, b"Exif"),
    )
