"""Read the boxes of HEIF and AVIF files (ISO/IEC 14496-12 and 23008-12); decode no pictures."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_MAX_ENTRIES = 100_000
"""Limit of the entries in one table. A crafted table has many entries of no bytes."""


_PARTS = (b"meta", b"moov", b"mdat", b"idat", b"moof")


class _Malformed(Exception):
    """A box contradicts its own size."""


@dataclass(frozen=True)
class Box:
    """One box: its four-character type, and where its payload begins and ends in the file."""

    kind: bytes
    start: int
    end: int


@dataclass
class Item:
    """One item of the file: a picture, a tile, or metadata. ``extents`` are (offset, size)."""

    kind: bytes = b""
    extents: list[tuple[int, int]] = field(default_factory=list)
    properties: list[int] = field(default_factory=list)
    made_of: list[int] = field(default_factory=list)


@dataclass
class BoxedFile:
    """The structure of a HEIF or AVIF file.

    ``end`` is the end of the last whole top-level box: later bytes are no part of the image.
    ``cut`` says that a top-level box with a part of the image ends after the file.
    """

    end: int = 0
    cut: bool = False
    kinds: list[bytes] = field(default_factory=list)
    primary: int = 0
    items: dict[int, Item] = field(default_factory=dict)
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)

    def of_primary(self, kind: bytes) -> list[bytes]:
        """Return the payloads of the primary picture's properties of one kind.

        A picture made of tiles may leave its colours to the tiles.
        """
        item = self.items.get(self.primary, Item())
        found = self._of(item, kind)
        if not found and kind == b"colr" and item.made_of:
            return self._of(self.items.get(item.made_of[0], Item()), kind)
        return found

    def _of(self, item: Item, kind: bytes) -> list[bytes]:
        known = range(1, len(self.properties) + 1)
        chosen = (self.properties[index - 1] for index in item.properties if index in known)
        return [payload for name, payload in chosen if name == kind]

    def content(self, data: bytes, kind: bytes) -> bytes:
        """Return the bytes of the first item of one kind; empty without such an item."""
        item = next((item for item in self.items.values() if item.kind == kind), Item())
        return b"".join(data[at : at + size] for at, size in item.extents)


def read(data: bytes) -> BoxedFile:
    """Read the structure of ``data``. What is broken is left out."""
    file = BoxedFile()
    for box in _boxes(data, 0, len(data)):
        if box.kind == b"ftyp" and file.kinds:  # another file: the video of a motion photo
            break
        if box.end > len(data):
            file.cut = box.kind in _PARTS
            break
        file.end = box.end
        file.kinds.append(box.kind)
        if box.kind == b"meta":
            try:
                _read_meta(data, box, file)
            except (_Malformed, struct.error):
                file.kinds[-1] = b"broken"
    return file


def _boxes(data: bytes, at: int, end: int) -> Iterator[Box]:
    """Yield boxes until the first that is none. The last one may end after ``end``."""
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= end:
            head, size = 16, int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:  # "to the end of the file"
            size = end - at
        if size < head or not all(0x20 <= letter < 0x7F for letter in kind):
            return
        yield Box(kind, at + head, at + size)
        at += size


class _Reader:
    """Reads big-endian numbers from one box. Raises `_Malformed` at its end."""

    def __init__(self, data: bytes, box: Box) -> None:
        self._data = data
        self._at, self._end = box.start, box.end
        self.version = self.number(1)
        self.flags = self.number(3)

    def number(self, size: int) -> int:
        if self._at + size > self._end:
            raise _Malformed
        value = int.from_bytes(self._data[self._at : self._at + size], "big")
        self._at += size
        return value

    def rest(self) -> Box:
        return Box(b"", self._at, self._end)


def _read_meta(data: bytes, meta: Box, file: BoxedFile) -> None:
    inside = list(_boxes(data, meta.start + 4, meta.end))
    if any(box.end > meta.end for box in inside):
        raise _Malformed
    stored = next((box.start for box in inside if box.kind == b"idat"), 0)
    for box in inside:
        if box.kind == b"pitm":
            reader = _Reader(data, box)
            file.primary = reader.number(4 if reader.version else 2)
        elif box.kind == b"iinf":
            _read_kinds(data, box, file)
        elif box.kind == b"iloc":
            _read_extents(_Reader(data, box), file, stored)
        elif box.kind == b"iref":
            _read_references(data, box, file)
        elif box.kind == b"iprp":
            _read_properties(data, box, file)


def _item(file: BoxedFile, number: int) -> Item:
    return file.items.setdefault(number, Item())


def _read_kinds(data: bytes, box: Box, file: BoxedFile) -> None:
    reader = _Reader(data, box)
    reader.number(4 if reader.version else 2)
    for entry in _boxes(data, reader.rest().start, box.end):
        one = _Reader(data, entry)
        if entry.kind == b"infe" and one.version >= 2:
            number = one.number(4 if one.version == 3 else 2)
            one.number(2)
            _item(file, number).kind = one.number(4).to_bytes(4, "big")


def _read_extents(reader: _Reader, file: BoxedFile, stored: int) -> None:
    sizes = reader.number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if reader.version else 0
    seen = 0
    for _ in range(reader.number(4 if reader.version == 2 else 2)):
        item = _item(file, reader.number(4 if reader.version == 2 else 2))
        method = reader.number(2) & 15 if reader.version else 0
        elsewhere = reader.number(2)
        base = reader.number(base_size)
        for _ in range(reader.number(2)):
            seen += 1
            if seen > _MAX_ENTRIES:
                raise _Malformed
            reader.number(index_size)
            offset, size = reader.number(offset_size), reader.number(length_size)
            if method < 2 and not elsewhere:
                item.extents.append((base + offset + (stored if method else 0), size))


def _read_references(data: bytes, box: Box, file: BoxedFile) -> None:
    reader = _Reader(data, box)
    size = 4 if reader.version else 2
    for entry in _boxes(data, reader.rest().start, box.end):
        if entry.kind == b"dimg":
            one = _Reader(data, Box(b"", entry.start - 4, entry.end))  # no version of its own
            item = _item(file, one.number(size))
            item.made_of += [one.number(size) for _ in range(one.number(2))]


def _read_properties(data: bytes, box: Box, file: BoxedFile) -> None:
    for part in _boxes(data, box.start, box.end):
        if part.kind == b"ipco":
            file.properties = [
                (each.kind, data[each.start : each.end])
                for each in _boxes(data, part.start, part.end)
            ]
        elif part.kind == b"ipma":
            reader = _Reader(data, part)
            for _ in range(reader.number(4)):
                item = _item(file, reader.number(4 if reader.version else 2))
                for _ in range(reader.number(1)):
                    wide = reader.flags & 1
                    item.properties.append(reader.number(1 + wide) & (0x7FFF if wide else 0x7F))
