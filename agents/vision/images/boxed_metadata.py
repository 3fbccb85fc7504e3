"""Remove the metadata of HEIF and AVIF files (ISO/IEC 14496-12 and 23008-12), sequences included.

The file keeps its size and its offsets: everything else than pictures and what a decoder needs is
overwritten with zeros. A list says which boxes stay; all others become `free`. Of the media data,
only the bytes of pictures stay.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agents.vision.images import boxes

_MAX_BOXES, _MAX_SAMPLES = 100_000, 100_000
_NOTHING: frozenset[bytes] = frozenset()


def _kinds(text: str) -> frozenset[bytes]:
    return frozenset(kind.encode().ljust(4) for kind in text.split())


_TOP = _kinds("ftyp meta moov mdat")
_INSIDE = {
    b"meta": _kinds("hdlr pitm iloc iinf iref iprp idat grpl dinf"),
    b"iprp": _kinds("ipco ipma"),
    b"dinf": _kinds("dref"),
    b"moov": _kinds("mvhd trak"),
    b"trak": _kinds("tkhd edts tref mdia"),
    b"edts": _kinds("elst"),
    b"mdia": _kinds("mdhd hdlr minf"),
    b"minf": _kinds("vmhd dinf stbl"),
    b"stbl": _kinds("stsd stts stsc stsz stz2 stco co64 stss ctts sgpd sbgp csgp sdtp cslg"),
}
"""The boxes that stay in each container."""
_SKIPPED = {b"meta": 4}
"""Bytes before the first box in a container."""
_FRAGMENTS = _kinds("moof mvex")
_PROPERTIES = _kinds(
    "ispe pixi colr hvcC av1C avcC vvcC lhvC irot imir clap pasp auxC a1op a1lx lsel rloc "
    "clli mdcv cclv amve oinf tols cmpd uncC j2kH"
)
_CODED = _kinds("av01 hvc1 hev1 lhv1 avc1 avc3 vvc1 vvi1")
_IN_CODED = _kinds("av1C hvcC lhvC avcC vvcC colr pasp clap auxi ccst pixi clli mdcv btrt")
_PICTURES = _kinds("av01 hvc1 lhv1 avc1 vvc1 unci j2k1 grid iovl iden tmap")
"""Items that are pictures. The content of all others (EXIF, XMP, makers' data) is removed."""
_PICTURE_TRACKS = _kinds("pict vide auxv")


@dataclass(frozen=True)
class _Box:
    """A box: its type, the position of the type, and where the payload begins and ends."""

    kind: bytes
    named: int
    start: int
    end: int


Range = tuple[int, int]


def cleaned(data: bytes, exif: bytes) -> bytes:
    """Return the file without metadata; ``exif`` replaces the content of its EXIF item.

    Raises ValueError or struct.error if the structure is broken or unusual.
    """
    file = boxes.read(data)
    if b"broken" in file.kinds or file.kinds.count(b"meta") > 1 or file.kinds.count(b"moov") > 1:
        raise ValueError("broken or repeated boxes")
    cleaner = _Cleaner(data)
    for box in cleaner.boxes(0, len(data), cut=True):
        if box.kind == b"mdat":
            cleaner.stores.append((box.start, box.end))
        elif box.kind in _TOP:
            cleaner.clean(box)
        else:
            cleaner.erase(box)
    items = list(file.items.values())
    pictures = [item for item in items if item.kind in _PICTURES]
    if file.primary and file.items.get(file.primary) not in pictures:
        raise ValueError("the primary item is no known picture")
    if any(not each.extents and each.kind != b"iden" for each in pictures):
        raise ValueError("a picture is stored in an unusual way")
    kept = _merged([*(each for item in pictures for each in _ranges(item)), *cleaner.samples])
    cleaner.keep_only(kept)
    for item in items:
        if item.kind in _PICTURES:
            continue
        if any(_overlaps(kept, at, at + size) for at, size in item.extents):
            raise ValueError("a picture and metadata overlap")
        if item.kind == b"Exif" and item.extents and item.extents[0][1] >= len(exif):
            at = item.extents[0][0]
            if not cleaner.stored(at, at + len(exif)):
                raise ValueError("the metadata is stored in an unusual way")
            cleaner.out[at : at + len(exif)] = exif
    return bytes(cleaner.out)


def _ranges(item: boxes.Item) -> Iterator[Range]:
    for at, size in item.extents:
        if size <= 0:
            raise ValueError("an item without a size")
        yield at, at + size


class _Cleaner:
    """Overwrites a copy of ``data``. ``samples`` are the ranges of the tracks' pictures, ``stores``
    those of the media data."""

    def __init__(self, data: bytes) -> None:
        self.out = bytearray(data)
        self.samples: list[Range] = []
        self.stores: list[Range] = []
        self._data = data
        self._count = 0

    def boxes(self, at: int, end: int, *, cut: bool = False) -> Iterator[_Box]:
        """Yield the boxes between two positions. With ``cut``, media data may end after ``end``.

        Bytes after the last box become zeros.
        """
        while at + 8 <= end:
            self._count += 1
            if self._count > _MAX_BOXES:
                raise ValueError("too many boxes")
            size, kind = struct.unpack_from(">I4s", self._data, at)
            head = 8
            if size == 1:
                head, size = 16, int.from_bytes(self._data[at + 8 : at + 16], "big")
            elif size == 0 and cut:
                size = end - at
            if size < head or (at + size > end and not (cut and kind == b"mdat")):
                raise ValueError("a box is larger than its place")
            yield _Box(kind, at + 4, at + head, min(at + size, end))
            at = min(at + size, end)
        self._zero(at, end)

    def erase(self, box: _Box) -> None:
        if box.kind in _FRAGMENTS:
            raise ValueError("a sequence in fragments")
        self.out[box.named : box.named + 4] = b"free"
        self._zero(box.start, box.end)

    def clean(self, box: _Box) -> None:
        """Clean the content of a box that stays."""
        if box.kind in _INSIDE:
            self._clean_inside(box)
        elif box.kind == b"idat":
            self.stores.append((box.start, box.end))
        elif box.kind == b"hdlr":
            self._zero(box.start + 24, box.end)  # the handler's name
        elif box.kind in (b"mvhd", b"tkhd", b"mdhd"):
            times = 16 if self._data[box.start] == 1 else 8
            self._zero(box.start + 4, min(box.start + 4 + times, box.end))
        elif box.kind == b"iinf":
            self._clean_names(box)
        elif box.kind == b"ipco":
            for part in self.boxes(box.start, box.end):
                if part.kind not in _PROPERTIES:  # their number counts, so the box stays
                    self._zero(part.start, part.end)
        elif box.kind == b"dref":
            for part in self.boxes(box.start + 8, box.end):
                self._zero(part.start + 4, part.end)
        elif box.kind == b"stsd":
            self._clean_descriptions(box)

    def _clean_inside(self, box: _Box) -> None:
        parts = list(self.boxes(box.start + _SKIPPED.get(box.kind, 0), box.end))
        if box.kind == b"trak" and self._handler(parts) not in _PICTURE_TRACKS:
            self.erase(box)
            return
        for part in parts:
            if part.kind in _INSIDE[box.kind]:
                self.clean(part)
            else:
                self.erase(part)
        if box.kind == b"stbl":
            self.samples += _samples(self._data, {part.kind: part for part in parts})

    def _handler(self, parts: Iterable[_Box]) -> bytes:
        for part in parts:
            if part.kind == b"mdia":
                for one in self.boxes(part.start, part.end):
                    if one.kind == b"hdlr":
                        return self._data[one.start + 8 : one.start + 12]
        return b""

    def _clean_names(self, box: _Box) -> None:
        """Remove the items' names and content types."""
        first = box.start + (8 if self._data[box.start] else 6)
        for entry in self.boxes(first, box.end):
            if entry.kind != b"infe":
                self.erase(entry)
                continue
            version = self._data[entry.start]
            fixed = {2: 12, 3: 14}.get(version, 8)
            self._zero(entry.start + fixed, entry.end)

    def _clean_descriptions(self, box: _Box) -> None:
        """Remove the encoder's name and makers' parts from the descriptions of the coding."""
        for entry in self.boxes(box.start + 8, box.end):
            if entry.kind not in _CODED or entry.end - entry.start < 78:
                raise ValueError("an unknown coding")
            self._zero(entry.start + 42, entry.start + 74)
            for part in self.boxes(entry.start + 78, entry.end):
                if part.kind not in _IN_CODED:
                    self.erase(part)

    def stored(self, start: int, end: int) -> bool:
        """Tell whether a range lies in the media data."""
        self.stores.sort()
        at = bisect_right(self.stores, (start, len(self._data))) - 1
        return at >= 0 and end <= self.stores[at][1]

    def keep_only(self, kept: list[Range]) -> None:
        """Overwrite the media data outside of ``kept``, which is sorted and has no overlaps."""
        if not all(self.stored(start, end) for start, end in kept):
            raise ValueError("a picture lies outside of the media data")
        places = iter(kept)
        place = next(places, None)
        for start, end in sorted(self.stores):
            at = start
            while place and place[0] < end:
                self._zero(at, place[0])
                at, place = place[1], next(places, None)
            self._zero(at, end)

    def _zero(self, start: int, end: int) -> None:
        if start < end:
            self.out[start:end] = bytes(end - start)


def _samples(data: bytes, tables: dict[bytes, _Box]) -> Iterator[Range]:
    """Yield the place of each chunk of pictures in a track (ISO/IEC 14496-12, 8.7)."""
    sizes = _sizes(data, tables)
    wide = b"co64" in tables
    chunks = _numbers(data, tables.get(b"co64" if wide else b"stco"), ">Q" if wide else ">I")
    runs = _numbers(data, tables.get(b"stsc"), ">III")
    run, each, at = 0, 0, 0
    for number, (offset,) in enumerate(chunks, 1):
        while run < len(runs) and runs[run][0] <= number:
            each, run = runs[run][1], run + 1
        size = sum(sizes[at : at + each])
        at += each
        if size:
            yield offset, offset + size
    if at < len(sizes):
        raise ValueError("pictures without a place")


def _sizes(data: bytes, tables: dict[bytes, _Box]) -> list[int]:
    box = tables.get(b"stsz")
    if box is None:
        raise ValueError("no table of sizes")
    one, count = struct.unpack_from(">II", data, box.start + 4)
    if count > _MAX_SAMPLES:
        raise ValueError("too many pictures")
    if one:
        return [one] * count
    return list(struct.unpack_from(f">{count}I", data, box.start + 12))


def _numbers(data: bytes, box: _Box | None, form: str) -> list[tuple[int, ...]]:
    if box is None:
        raise ValueError("a table is missing")
    (count,) = struct.unpack_from(">I", data, box.start + 4)
    size = struct.calcsize(form)
    if count > _MAX_SAMPLES or box.start + 8 + count * size > box.end:
        raise ValueError("a table is larger than its box")
    return list(struct.iter_unpack(form, data[box.start + 8 : box.start + 8 + count * size]))


def _merged(ranges: Iterable[Range]) -> list[Range]:
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def _overlaps(merged: list[Range], start: int, end: int) -> bool:
    at = bisect_right(merged, (start, end)) - 1
    return (at >= 0 and merged[at][1] > start) or (at + 1 < len(merged) and merged[at + 1][0] < end)
