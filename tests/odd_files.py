"""Intact image files that are unusual: other endings, other colours, turned in other ways."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pillow_heif
from PIL import Image, ImageChops

from tests.garments import encoded, jpeg

EOI = b"\xff\xd9"
SAMSUNG = b"\x0e\0\0\0\1\nImage_UTC_Data1700000000000SEFH\x6b\0\0\0\1\0\0\0SEFT"
MOTION_PHOTO = (
    struct.pack(">I4s4sI", 24, b"ftyp", b"mp42", 0)
    + b"isommp42"
    + struct.pack(">I4s", 108, b"moov")
    + bytes(100)
    + struct.pack(">I4s", 70_000, b"mdat")
    + bytes(60_000)
)
TAILS = {
    "line feed": b"\r\n",
    "zeros": bytes(4096),
    "junk": b"\x01\x02junk",
    "samsung": SAMSUNG,
    "motion photo": MOTION_PHOTO,
    "zip": b"PK\x03\x04" + bytes(200_000) + b"PK\x05\x06" + bytes(18),
    "html": b"<script>alert(1)</script>",
}
"""Bytes that phones, servers and people leave after an image."""


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png_with(data: bytes, kind: bytes, content: bytes) -> bytes:
    """Insert a chunk after the header of a PNG."""
    chunk = struct.pack(">I", len(content)) + kind + content
    return data[:33] + chunk + struct.pack(">I", zlib.crc32(kind + content)) + data[33:]


def ycck(picture: Image.Image) -> bytes:
    """Encode as YCCK, as image editors do. Pillow writes CMYK only, so its marker is changed."""
    cyan, magenta, yellow, black = picture.convert("CMYK").split()
    luma = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr").split()
    stored = Image.merge("CMYK", (*map(ImageChops.invert, luma), black))
    data = bytearray(jpeg(stored, quality=95, subsampling=0))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def heic_by_exif(picture: Image.Image, orientation: int) -> bytes:
    """Encode a HEIC that is turned by EXIF alone: without the properties irot and imir."""
    data = encoded(picture, "HEIF", exif=exif_of(orientation), quality=90)
    return data.replace(b"irot", b"free").replace(b"imir", b"free")


def avif_by_exif(picture: Image.Image, orientation: int) -> bytes:
    """Encode an AVIF that is turned by EXIF alone. Pillow moves the number to irot, so another
    tag is renamed."""
    exif = Image.Exif()
    exif[0x0106] = orientation
    other, tag, kind = b"\x01\x06", b"\x01\x12", b"\0\x03"
    data = encoded(picture, "AVIF", exif=exif, quality=90)
    assert other + kind in data
    return data.replace(other + kind, tag + kind)


def avif_with_colours(picture: Image.Image, primaries: int, transfer: int) -> bytes:
    """Encode an AVIF that tells its colours by numbers."""
    data = encoded(picture, "AVIF", quality=95, subsampling="4:4:4")
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def heic_with_colours(picture: Image.Image, primaries: int, transfer: int) -> bytes:
    numbers: dict[str, Any] = {
        "color_primaries": primaries,
        "transfer_characteristics": transfer,
        "matrix_coefficients": 6,
        "full_range_flag": 1,
        "save_nclx_profile": True,
    }
    return encoded(picture, "HEIF", quality=95, chroma=444, **numbers)


def png_with_colours(picture: Image.Image, primaries: int, transfer: int) -> bytes:
    return png_with(encoded(picture, "PNG"), b"cICP", bytes((primaries, transfer, 0, 1)))


def ten_bit_heic(colour: tuple[float, float, float], primaries: int, transfer: int) -> bytes:
    """Encode one colour (0–1) with 10 bits a channel."""
    pixel = struct.pack("<3H", *(round(part * 65_535) for part in colour))
    file = pillow_heif.from_bytes("RGB;16", (64, 64), pixel * 64 * 64)
    buffer = io.BytesIO()
    file.save(
        buffer,
        quality=95,
        chroma=444,
        color_primaries=primaries,
        transfer_characteristics=transfer,
        matrix_coefficients=9,
        full_range_flag=1,
    )
    return buffer.getvalue()


def grid_heic(picture: Image.Image, tile: int = 128, **save: Any) -> bytes:
    """Encode a HEIC of tiles, as phones do."""
    before = pillow_heif.options.GRID_TILE_SIZE
    pillow_heif.options.GRID_TILE_SIZE = tile
    try:
        return encoded(picture, "HEIF", **save)
    finally:
        pillow_heif.options.GRID_TILE_SIZE = before


def restarting(data: bytes) -> list[int]:
    """Return the positions of a JPEG's restart markers."""
    return [at for at in range(len(data) - 1) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7]


WITH_COLOURS: dict[str, Callable[[Image.Image, int, int], bytes]] = {
    "heic": heic_with_colours,
    "avif": avif_with_colours,
    "png": png_with_colours,
}
