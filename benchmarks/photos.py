"""Photos for the benchmarks: real photos from LOOKSTREAM_DATA, otherwise drawn ones."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from PIL import Image, ImageDraw

_SHIRT = ((130, 60), (230, 60), (330, 150), (290, 210), (255, 180), (255, 430), (105, 430),
          (105, 180), (70, 210), (30, 150))  # fmt: skip


def load(count: int) -> list[bytes]:
    """Return ``count`` encoded photos. After 200 drawn photos, the shapes move."""
    folder = os.environ.get("LOOKSTREAM_DATA")
    tar = Path(folder) / "photos-train.tar" if folder else None
    if tar is None or not tar.exists():
        return [_drawn(number) for number in range(count)]
    with tarfile.open(tar) as archive:
        members = [member for member in archive.getmembers() if member.isfile()][:count]
        found = [_read(archive, member) for member in members]
    return (found + [_variant(photo, i) for i, photo in enumerate(found * (count // len(found)))])[
        :count
    ]


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None  # noqa: S101 - regular files only
    return file.read()


def _drawn(number: int) -> bytes:
    colour = (number * 37 % 200, number * 91 % 200, number * 53 % 200)
    across, down = number // 200 % 20, number // 4000
    picture = Image.new("RGB", (360, 480), "white")
    shirt = [(x + across, y + down) for x, y in _SHIRT]
    ImageDraw.Draw(picture).polygon(shirt, fill=colour)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _variant(photo: bytes, number: int) -> bytes:
    """Return nearly the same picture with other bytes, so that no cached result applies."""
    with Image.open(io.BytesIO(photo)) as image:
        picture = image.convert("RGB")
    picture.putpixel((number % picture.width, 0), (number % 256, number // 256 % 256, 0))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80)
    return buffer.getvalue()
