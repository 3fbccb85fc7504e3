"""Broken, misleading and oversized image files. The same count and seed give the same files."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import pillow_heif
from PIL import Image, ImageDraw

pillow_heif.register_heif_opener()

Make = Callable[[], bytes]


@dataclass(frozen=True)
class Case:
    """One file: what is wrong with it, its format, and a function that makes it."""

    kind: str
    name: str
    make: Make


def cases(count: int, seed: int = 1) -> list[Case]:
    """Return ``count`` cases, of all kinds; the more, the more bit flips and moved bytes."""
    fixed = [*_truncated(), *_headers(), *_bombs(), *_frames(), *_metadata(), *_polyglots()]
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    endless = _random_changes(chance)
    if count < len(fixed):
        return chance.sample(fixed, count)
    return fixed + [next(endless) for _ in range(count - len(fixed))]


# Intact files


@lru_cache
def picture(size: tuple[int, int] = (300, 400)) -> Image.Image:
    """Draw a shirt on a speckled floor."""
    noise = random.Random(size[0])  # noqa: S311 - not for secrets
    floor = Image.frombytes("L", (64, 64), noise.randbytes(64 * 64)).resize(size)
    drawn = Image.merge(
        "RGB", [floor.point(lambda v, to=to: 180 + v // 8 - to) for to in (0, 9, 30)]
    )
    across, down = size
    outline = [(0.3, 0.1), (0.7, 0.1), (0.95, 0.35), (0.8, 0.45), (0.7, 0.35), (0.7, 0.9)]
    outline += [(0.3, 0.9), (0.3, 0.35), (0.2, 0.45), (0.05, 0.35)]
    points = [(x * across, y * down) for x, y in outline]
    ImageDraw.Draw(drawn).polygon(points, fill=(40, 90, 160))
    return drawn


def encoded(image: Image.Image, kind: str, **save: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **save)
    return buffer.getvalue()


def _tiles() -> bytes:
    before = pillow_heif.options.GRID_TILE_SIZE
    pillow_heif.options.GRID_TILE_SIZE = 128
    try:
        return encoded(picture(), "HEIF")
    finally:
        pillow_heif.options.GRID_TILE_SIZE = before


def _others(count: int = 3) -> list[Image.Image]:
    return [picture().rotate(7 * turn) for turn in range(1, count)]


FORMATS: dict[str, Make] = {
    "jpeg": lambda: encoded(picture(), "JPEG"),
    "progressive jpeg": lambda: encoded(picture(), "JPEG", progressive=True),
    "jpeg with restarts": lambda: encoded(picture(), "JPEG", restart_marker_rows=1),
    "cmyk jpeg": lambda: encoded(picture().convert("CMYK"), "JPEG"),
    "mpo": lambda: encoded(picture(), "MPO", save_all=True, append_images=_others()),
    "png": lambda: encoded(picture(), "PNG"),
    "palette png": lambda: encoded(picture().quantize(64), "PNG", transparency=3),
    "apng": lambda: encoded(picture(), "PNG", save_all=True, append_images=_others()),
    "gif": lambda: encoded(picture(), "GIF"),
    "animated gif": lambda: encoded(picture(), "GIF", save_all=True, append_images=_others()),
    "webp": lambda: encoded(picture(), "WEBP"),
    "lossless webp": lambda: encoded(picture(), "WEBP", lossless=True),
    "animated webp": lambda: encoded(picture(), "WEBP", save_all=True, append_images=_others()),
    "avif": lambda: encoded(picture(), "AVIF"),
    "animated avif": lambda: encoded(picture(), "AVIF", save_all=True, append_images=_others()),
    "heic": lambda: encoded(picture(), "HEIF"),
    "heic of tiles": _tiles,
}


@lru_cache
def intact(name: str) -> bytes:
    """Return the intact file of one of `FORMATS`."""
    return FORMATS[name]()


# What is done to them


def _truncated() -> Iterator[Case]:
    for name in FORMATS:
        for percent in range(1, 100):
            yield Case("truncated", name, partial(_cut, name, percent))


def _cut(name: str, percent: int) -> bytes:
    data = intact(name)
    return data[: max(1, len(data) * percent // 100)]


def _random_changes(chance: random.Random) -> Iterator[Case]:
    changes = (("bits flipped", _flipped), ("bytes moved", _moved), ("cut and continued", _spliced))
    while True:
        for kind, change in changes:
            for name in FORMATS:
                yield Case(kind, name, partial(change, name, chance.getrandbits(32)))


def _flipped(name: str, seed: int) -> bytes:
    data, chance = bytearray(intact(name)), random.Random(seed)  # noqa: S311
    start = chance.choice((0, 0, 2, len(data) // 20))
    end = chance.choice((len(data), 64, 512))
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        data[chance.randrange(start, max(end, start + 1))] ^= 1 << chance.randrange(8)
    return bytes(data)


def _moved(name: str, seed: int) -> bytes:
    data, chance = intact(name), random.Random(seed)  # noqa: S311
    one, two, three = sorted(chance.randrange(len(data)) for _ in range(3))
    return chance.choice(
        (
            data[:one] + data[two:],
            data[:one] + data[two:three] + data[one:two] + data[three:],
            data[:two] + data[one:],
            data[:one] + chance.randbytes(two - one) + data[two:],
            data[:one] + bytes(two - one) + data[two:],
            data[:one] + chance.randbytes(chance.randrange(1, 40)) + data[one:],
        )
    )


def _spliced(name: str, seed: int) -> bytes:
    chance = random.Random(seed)  # noqa: S311
    one, other = intact(name), intact(chance.choice(list(FORMATS)))
    return one[: chance.randrange(len(one))] + other[chance.randrange(len(other)) :]


def _headers() -> Iterator[Case]:
    """Wrong sizes, magic bytes and lengths."""
    for name in FORMATS:
        for other in ("jpeg", "png", "gif", "webp", "avif", "heic"):
            yield Case("false header", name, partial(_magic, name, other))
        for at in range(0, 64, 4):
            for word in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"):
                yield Case("false header", name, partial(_word, name, at, word))
    for name, at, size in (("png", 16, 4), ("palette png", 16, 4), ("gif", 6, 2), ("webp", 26, 2)):
        for value in (0, 1, 16, 5000, 16_383, 65_535):
            for where in (at, at + size):
                yield Case("false header", name, partial(_number, name, where, size, value))
    for name in ("jpeg", "progressive jpeg"):
        for value in (0, 1, 5000, 65_500, 65_535):
            yield Case("false header", name, partial(_jpeg_size, name, value, value))
            yield Case("false header", name, partial(_jpeg_size, name, 400, value))
    for name in ("avif", "heic", "heic of tiles"):
        for value in (0, 1, 5000, 30_000, 2**31, 2**32 - 1):
            yield Case("false header", name, partial(_box_size, name, value))


def _magic(name: str, other: str) -> bytes:
    return intact(other)[:12] + intact(name)[12:]


def _word(name: str, at: int, word: bytes) -> bytes:
    return intact(name)[:at] + word + intact(name)[at + 4 :]


def _number(name: str, at: int, size: int, value: int) -> bytes:
    data = intact(name)
    order: Any = "big" if "png" in name else "little"
    data = data[:at] + value.to_bytes(size, order) + data[at + size :]
    return _with_checksum(data) if "png" in name else data


def _with_checksum(png: bytes) -> bytes:
    return png[:29] + struct.pack(">I", zlib.crc32(png[12:29])) + png[33:]


def _jpeg_size(name: str, width: int, height: int) -> bytes:
    data = intact(name)
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _box_size(name: str, value: int) -> bytes:
    data = intact(name)
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", value, value) + data[at + 8 :]


# Files that cost much


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@lru_cache(maxsize=2)
def _flat_png(
    width: int, height: int, bits: int, colour: int, *extra: tuple[bytes, bytes]
) -> bytes:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + (width * bits * channels + 7) // 8)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    palette = _chunk(b"PLTE", bytes(range(48))) if colour == 3 else b""
    end = _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + palette + end


_TEXTS = (
    (b"zTXt", b"note\0\0"),
    (b"iCCP", b"colour\0\0"),
    (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0"),
)


def _bombs() -> Iterator[Case]:
    for size in ((30_000, 30_000), (10_000, 10_000), (100_000, 1_000), (1_000, 100_000)):
        for bits, colour in ((1, 0), (8, 2), (8, 6), (16, 2), (4, 3)):
            if size[0] * size[1] * bits <= 1_600_000_000:
                yield Case("bomb", "png", partial(_flat_png, *size, bits, colour))
    for width, height in ((16_383, 6_000), (9_999, 9_999), (7_000, 7_000)):
        yield Case("bomb", "webp", partial(_flat, "WEBP", width, height, quality=1, method=0))
    for width, height in ((10_000, 10_000), (65_000, 1_500), (12_000, 9_000)):
        yield Case("bomb", "jpeg", partial(_flat, "JPEG", width, height, quality=1))
        yield Case(
            "bomb", "jpeg", partial(_flat, "JPEG", width, height, quality=1, progressive=True)
        )
        yield Case("bomb", "gif", partial(_flat, "GIF", width, height))
    yield Case("bomb", "avif", partial(_flat, "AVIF", 7_000, 5_000, speed=10, quality=1))
    yield Case("bomb", "heic", partial(_flat, "HEIF", 6_000, 4_000, quality=1))
    for count in (50, 99, 500, 20_000, 500_000):
        yield Case("bomb", "progressive jpeg", partial(_scans, (300, 400), count))
        yield Case("bomb", "progressive jpeg", partial(_scans, (3_000, 4_000), count))
    for unpacked in (10**6, 10**8, 10**9):
        for kind, before in _TEXTS:
            yield Case("bomb", "png", partial(_png_with, kind, before, partial(_packed, unpacked)))
    for size in ((65_535, 65_535), (30_000, 3_000), (9_000, 9_000)):
        yield Case("bomb", "gif", partial(_gif_frame, *size))
    for nested in (10, 1_000, 100_000):
        yield Case("bomb", "heic", partial(_nested_boxes, nested))
        yield Case("bomb", "avif", partial(_nested_boxes, nested, b"avif"))


def _flat(kind: str, width: int, height: int, **save: Any) -> bytes:
    mode = "L" if kind in ("JPEG", "GIF") else "RGB"
    return encoded(Image.new(mode, (width, height), 90), kind, **save)


def _scans(size: tuple[int, int], count: int) -> bytes:
    data = encoded(picture(size), "JPEG", progressive=True, quality=30)
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    return data[:-2] + scan[: max(20, 40_000_000 // count)] * count + data[-2:]


@lru_cache(maxsize=1)
def _packed(size: int) -> bytes:
    packer = zlib.compressobj(9)
    block = bytes(1_000_000)
    return b"".join(packer.compress(block) for _ in range(size // 10**6)) + packer.flush()


def _png_with(kind: bytes, before: bytes, content: Make) -> bytes:
    data = intact("png")
    return data[:33] + _chunk(kind, before + content()) + data[33:]


def _gif_frame(width: int, height: int) -> bytes:
    """A canvas of 10 × 10 pixels with a larger frame."""
    data = bytearray(intact("gif"))
    data[6:10] = struct.pack("<HH", 10, 10)
    at = data.index(b"\x2c", 13 + (3 << (data[10] & 7) + 1))
    data[at + 5 : at + 9] = struct.pack("<HH", width, height)
    return bytes(data)


def _nested_boxes(depth: int, brand: bytes = b"heic") -> bytes:
    content = bytes(8)
    head = struct.pack(">I4s4sI4s", 20, b"ftyp", brand, 0, brand)
    sizes = range(len(content) + 8 * depth, len(content), -8)
    boxes = b"".join(struct.pack(">I4s", size, b"meta") for size in sizes)
    return head + boxes + content


def _frames() -> Iterator[Case]:
    for count in (2, 1_000, 10_000):
        for kind in ("GIF", "PNG", "WEBP"):
            yield Case("10,000 frames", f"animated {kind.lower()}", partial(_many, kind, count))
    yield Case("10,000 frames", "animated gif", partial(_repeated_frame, 10_000))
    yield Case("10,000 frames", "animated gif", partial(_repeated_frame, 1_000))
    yield Case("10,000 frames", "animated avif", partial(_many, "AVIF", 200))


def _many(kind: str, count: int) -> bytes:
    shades = [Image.new("P" if kind == "GIF" else "RGB", (20, 20), shade) for shade in range(200)]
    rest = [shades[number % 200] for number in range(1, count)]
    more = {"method": 0} if kind == "WEBP" else {}
    return encoded(shades[0], kind, save_all=True, append_images=rest, duration=20, **more)


def _repeated_frame(count: int) -> bytes:
    data = intact("gif")
    start = 13 + (3 << (data[10] & 7) + 1)
    frame = data[start:-1]
    return data[:start] + frame * min(count, 45_000_000 // len(frame)) + b";"


_SEGMENTS = (
    (0xE1, b"Exif\0\0II*\0"),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
    (0xE2, b"ICC_PROFILE\0"),
    (0xE2, b"MPF\0II*\0"),
    (0xED, b"Photoshop 3.0\x008BIM"),
    (0xFE, b""),
)


def _metadata() -> Iterator[Case]:
    for size in (60_000, 1_000_000, 20_000_000):
        for marker, before in _SEGMENTS:
            yield Case("huge metadata", "jpeg", partial(_segments, marker, before, size))
        for kind in (b"eXIf", b"iCCP", b"tEXt", b"iTXt", b"zzZz"):
            make = partial(bytes, size)
            yield Case("huge metadata", "png", partial(_png_with, kind, b"note\0\0\0\0\0", make))
        for saver in ("WEBP", "AVIF", "HEIF", "PNG"):
            for what in ("exif", "icc_profile", "xmp"):
                if not (saver == "PNG" and what == "xmp"):
                    yield Case("huge metadata", saver.lower(), partial(_told, saver, what, size))
    for entries in (1, 5_000, 65_535):
        for offset in (0, 8, 2**32 - 1):
            yield Case("huge metadata", "jpeg", partial(_exif_entries, entries, offset))


def _segments(marker: int, before: bytes, size: int) -> bytes:
    data = intact("jpeg")
    parts = range(max(1, size // 60_000))
    numbered = [
        before + bytes((1 + part % 255, min(len(parts), 255))) + bytes(60_000) for part in parts
    ]
    return (
        data[:2]
        + b"".join(struct.pack(">BBH", 0xFF, marker, 2 + len(one)) + one for one in numbered)
        + data[2:]
    )


def _told(kind: str, what: str, size: int) -> bytes:
    noise = random.Random(size).randbytes(size)  # noqa: S311
    head = {"exif": b"Exif\0\0II*\0\x08\0\0\0\xff\xff", "icc_profile": b"", "xmp": b"<x:xmpmeta "}
    return encoded(picture(), kind, **{what: head[what] + noise})


def _exif_entries(count: int, offset: int) -> bytes:
    entry = struct.pack("<HHII", 0x0112, 4, 2**31, offset)
    body = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count) + entry * min(count, 5_000)
    data = intact("jpeg")
    return data[:2] + struct.pack(">BBH", 0xFF, 0xE1, 2 + len(body)) + body + data[2:]


def _polyglots() -> Iterator[Case]:
    tails: Sequence[bytes] = (
        b"PK\x03\x04" + bytes(300) + b"PK\x05\x06" + bytes(18),
        b"%PDF-1.7\n1 0 obj\n%%EOF",
        b"<html><script>alert(1)</script></html>",
        b"#!/bin/sh\necho hello\n",
        b"\x7fELF" + bytes(300),
    )
    for name in FORMATS:
        for tail in tails:
            yield Case("polyglot", name, partial(_joined, name, tail))
            yield Case("polyglot", name, partial(_joined, "", tail, name))
        for other in FORMATS:
            yield Case("polyglot", name, partial(_joined, name, b"", other))
    for comment in (b"*/alert(1)/*", b"<?php phpinfo(); ?>", b"%PDF-1.4"):
        yield Case("polyglot", "jpeg", partial(_segments, 0xFE, comment, 1))
        yield Case(
            "polyglot", "png", partial(_png_with, b"tEXt", b"note\0", partial(bytes, comment))
        )


def _joined(first: str, middle: bytes, last: str = "") -> bytes:
    return (intact(first) if first else b"") + middle + (intact(last) if last else b"")
