"""A secret place is in no copy without metadata, wherever a file keeps it, and the pixels stay."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import pillow_heif
import pytest
from PIL import Image, ImageSequence

from agents.vision.images import boxes, picture
from agents.vision.images.metadata import without_metadata

SECRET = b"GPS 52.5200N 13.4050E secret"
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + SECRET + b"</x:xmpmeta>"
PIXELS = 100_000_000
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"iprp", b"ipco")


def drawn(colour: str, mode: str = "RGB") -> Image.Image:
    image = Image.new("RGB", (64, 48), "white")
    image.paste(colour, (8, 8, 50, 40))
    return image.convert(mode)


def frames(mode: str = "RGB") -> list[Image.Image]:
    return [drawn(colour, mode) for colour in ("crimson", "teal", "olive")]


def saved(kind: str, images: list[Image.Image], **options: object) -> bytes:
    buffer = io.BytesIO()
    if len(images) > 1:
        options |= {"save_all": True, "append_images": images[1:], "duration": 100}
    images[0].save(buffer, kind, **options)
    return buffer.getvalue()


def heif() -> bytes:
    buffer = io.BytesIO()
    made = pillow_heif.from_pillow(drawn("crimson"))
    made.info["exif"], made.info["xmp"] = exif(), XMP
    made.save(buffer, quality=90)
    return buffer.getvalue()


def exif() -> bytes:
    found = Image.Exif()
    found[0x0112] = 1
    found.get_ifd(0x8825)[29] = SECRET.decode()
    return found.tobytes()


def pixels(data: bytes) -> list[bytes]:
    """Return the pixels of every frame."""
    if data[8:12] in (b"heic", b"mif1"):
        return [pillow_heif.open_heif(data).to_pillow().tobytes()]
    with Image.open(io.BytesIO(data)) as image:
        return [frame.convert("RGBA").tobytes() for frame in ImageSequence.Iterator(image)]


def check(data: bytes, kind: str) -> bytes:
    """Clean ``data`` as validation does; return the copy."""
    assert SECRET in data
    found = picture.inspect(data, max_pixels=PIXELS)
    assert found.copy_format == kind
    assert SECRET not in found.copy
    assert SECRET not in found.working
    assert pixels(found.copy) == pixels(data)
    return found.copy


# -- HEIF, AVIF ------------------------------------------------------------------------------------


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def parts(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of each box."""
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at, at + size
        at += size


def head(kind: bytes) -> int:
    """Return the size of what precedes the first box in a container."""
    return {b"meta": 12, b"stsd": 16, b"av01": 86}.get(kind, 8)


def rebuilt(part: bytes, path: tuple[bytes, ...], change: Callable[[bytes], bytes]) -> bytes:
    """Return a box in which the box at ``path`` is replaced by ``change`` of it."""
    if not path:
        return change(part)
    start = head(part[4:8])
    inside = b"".join(
        rebuilt(part[a:b], path[1:], change) if kind == path[0] else part[a:b]
        for kind, a, b in parts(part, start, len(part))
    )
    return struct.pack(">I", start + len(inside)) + part[4:start] + inside


def changed(data: bytes, path: tuple[bytes, ...], change: Callable[[bytes], bytes]) -> bytes:
    """Change a box. Its container moves to the end of the file, so all offsets stay right."""
    found = {kind: (a, b) for kind, a, b in parts(data, 0, len(data))}
    start, end = found[path[0]]
    moved = rebuilt(data[start:end], path[1:], change)
    return data[: start + 4] + b"free" + data[start + 8 :] + moved


def added(data: bytes, path: tuple[bytes, ...], new: bytes) -> bytes:
    """Add a box at the end of the container at ``path``."""
    return changed(data, path, lambda old: struct.pack(">I", len(old) + len(new)) + old[4:] + new)


def named(old: bytes) -> bytes:
    """Put the secret into the name of a handler."""
    return box(b"hdlr", old[8:32] + SECRET + b"\0")


def meta(offset: int = 0) -> bytes:
    """Return a `meta` box with an EXIF item: in its own `idat`, or at ``offset`` of the file."""
    content = b"\0\0\0\0" + exif()
    place = struct.pack(">HHHHIII", 1, 0 if offset else 1, 0, 1, 0, offset, len(content))
    return box(
        b"meta",
        b"\0\0\0\0"
        + box(b"hdlr", bytes(8) + b"pict" + bytes(12) + SECRET + b"\0")
        + box(b"iloc", b"\1\0\0\0\x44\x40\0\1" + place)
        + box(b"iinf", b"\0\0\0\0\0\1" + box(b"infe", b"\2\0\0\0\0\1\0\0Exif" + SECRET + b"\0"))
        + (b"" if offset else box(b"idat", content)),
    )


def text_track(offset: int) -> bytes:
    """Return a track of places, as cameras and telephones write it, with its text at ``offset``."""
    tables = (
        box(b"stsd", bytes(4) + b"\0\0\0\1" + box(b"mett", bytes(8) + SECRET + b"\0"))
        + box(b"stts", struct.pack(">IIII", 0, 1, 1, 100))
        + box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 1, 1))
        + box(b"stsz", struct.pack(">III", 0, len(SECRET), 1))
        + box(b"stco", struct.pack(">III", 0, 1, offset))
    )
    media = (
        box(b"mdhd", bytes(24))
        + box(b"hdlr", bytes(8) + b"meta" + bytes(12) + b"places\0")
        + box(b"minf", box(b"nmhd", bytes(4)) + box(b"stbl", tables))
    )
    return box(b"trak", box(b"tkhd", b"\0\0\0\3" + bytes(80)) + box(b"mdia", media))


def with_media(data: bytes, path: tuple[bytes, ...], made: Callable[[int], bytes]) -> bytes:
    """Add a box that refers to EXIF in new media data."""
    data += box(b"mdat", b"\0\0\0\0" + exif() + SECRET)
    return added(data, path, made(data.rindex(b"\0\0\0\0" + exif())))


UUID = box(b"uuid", bytes(range(16)) + XMP)
XML = box(b"xml ", b"\0\0\0\0" + XMP)
UDTA = box(b"udta", box(b"\xa9xyz", b"\0\x1c\0\0" + SECRET))
DESCRIBED = box(b"udes", b"\0\0\0\0en\0" + SECRET + b"\0\0\0")

MOOV, TRAK = (b"moov",), (b"moov", b"trak")
MDIA = (*TRAK, b"mdia")
STBL = (*MDIA, b"minf", b"stbl")
SEQUENCE_PLACES: dict[str, Callable[[bytes], bytes]] = {
    "moov/udta": lambda data: added(data, MOOV, UDTA),
    "moov/uuid": lambda data: added(data, MOOV, UUID),
    "moov/meta": lambda data: added(data, MOOV, meta()),
    "moov/meta elsewhere": lambda data: with_media(data, MOOV, meta),
    "moov/free": lambda data: added(data, MOOV, box(b"free", SECRET)),
    "trak/meta": lambda data: added(data, TRAK, meta()),
    "trak/meta elsewhere": lambda data: with_media(data, TRAK, meta),
    "trak/udta": lambda data: added(data, TRAK, UDTA),
    "trak/uuid": lambda data: added(data, TRAK, UUID),
    "mdia/uuid": lambda data: added(data, MDIA, UUID),
    "minf/udta": lambda data: added(data, (*MDIA, b"minf"), UDTA),
    "stbl/uuid": lambda data: added(data, STBL, UUID),
    "a sample entry": lambda data: added(data, (*STBL, b"stsd", b"av01"), UUID),
    "an encoder's name": lambda data: changed(
        data,
        (*STBL, b"stsd", b"av01"),
        lambda old: old[:50] + b"\x1f" + SECRET[:31].ljust(31) + old[82:],
    ),
    "a handler's name": lambda data: changed(data, (*MDIA, b"hdlr"), named),
    "a track of places": lambda data: with_media(data, MOOV, text_track),
}
ITEM_PLACES: dict[str, Callable[[bytes], bytes]] = {
    "meta/uuid": lambda data: added(data, (b"meta",), UUID),
    "meta/xml": lambda data: added(data, (b"meta",), XML),
    "meta/bxml": lambda data: added(data, (b"meta",), box(b"bxml", b"\0\0\0\0" + SECRET)),
    "meta/udta": lambda data: added(data, (b"meta",), UDTA),
    "meta/hdlr": lambda data: changed(data, (b"meta", b"hdlr"), named),
    "a property": lambda data: added(data, (b"meta", b"iprp", b"ipco"), DESCRIBED),
    "uuid": lambda data: data + UUID,
    "udta": lambda data: data + UDTA,
    "free": lambda data: data + box(b"free", SECRET),
    "another meta": lambda data: data + box(b"meco", meta()),
    "a phone's video": lambda data: data + box(b"mpvd", box(b"ftyp", b"mp42") + SECRET),
    "unused media data": lambda data: data + box(b"mdat", SECRET),
    "a tail": lambda data: data + b"\xff\xfe" + SECRET,
    "a tail of a box": lambda data: data + box(b"sefd", SECRET),
}


@pytest.mark.parametrize("place", [*SEQUENCE_PLACES, *ITEM_PLACES])
def test_no_box_of_a_sequence_tells_the_place(place: str) -> None:
    data = saved("AVIF", frames(), exif=exif(), xmp=XMP)
    copy = check({**SEQUENCE_PLACES, **ITEM_PLACES}[place](data), "AVIF")
    assert len(pixels(copy)) == 3


@pytest.mark.parametrize("place", ITEM_PLACES)
@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_no_box_of_a_still_picture_tells_the_place(kind: str, place: str) -> None:
    data = heif() if kind == "HEIF" else saved("AVIF", [drawn("teal")], exif=exif(), xmp=XMP)
    check(ITEM_PLACES[place](data), kind)


def test_no_times_stay_in_a_sequence() -> None:
    data = saved("AVIF", frames())
    for kind, size in ((b"mvhd", 16), (b"tkhd", 16), (b"mdhd", 16)):
        at = data.index(kind) + 8
        assert data[at - 4] == 1, "version 1 has times of 8 bytes"
        data = data[:at] + SECRET[:size] + data[at + size :]
    clean = without_metadata(data, "AVIF", 1)
    assert SECRET[:8] not in clean
    assert pixels(clean) == pixels(data)


@pytest.mark.parametrize("mode", ["RGBA", "L"])
def test_transparent_and_grey_sequences_keep_their_pixels(mode: str) -> None:
    data = saved("AVIF", frames(mode), exif=exif())
    copy = check(added(data, MOOV, meta()), "AVIF")
    assert len(pixels(copy)) == 3


def test_a_sequence_in_fragments_has_no_copy_of_its_format() -> None:
    """`Decoder.inspect` encodes it again."""
    data = saved("AVIF", frames(), exif=exif()) + box(b"moof", UDTA)
    found = picture.inspect(data, max_pixels=PIXELS)
    assert (found.copy, found.copy_format) == (b"", "")


def test_metadata_inside_a_picture_is_refused() -> None:
    data = saved("AVIF", [drawn("teal")], exif=exif()) + box(b"free", bytes(500))
    items = {item.kind: item for item in boxes.read(data).items.values()}
    ((place, _),), ((at, _),) = items[b"av01"].extents, items[b"Exif"].extents
    data = data.replace(struct.pack(">I", at), struct.pack(">I", place), 1)
    with pytest.raises(ValueError, match="overlap"):
        without_metadata(data, "AVIF", 1)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_box_that_is_cut_off_tells_nothing(cut: int) -> None:
    data = saved("AVIF", frames()) + SECRET + box(b"udta", SECRET * 2)[:-cut]
    assert SECRET not in picture.inspect(data, max_pixels=PIXELS).copy


# -- JPEG, PNG, WebP, GIF --------------------------------------------------------------------------


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


@pytest.mark.parametrize("marker", [*range(0xE0, 0xF0), 0xFE])
def test_no_segment_of_a_jpeg_tells_the_place(marker: int) -> None:
    data = saved("JPEG", frames()[:1], exif=exif())
    check(data[:2] + segment(marker, b"Maker\0" + SECRET) + data[2:], "JPEG")


def test_what_follows_a_jpeg_is_left_out() -> None:
    data = saved("JPEG", frames()[:1])
    second = saved("JPEG", frames()[1:2], exif=exif())
    for tail in (SECRET, second, b"\0\0" + second + SECRET, box(b"ftyp", b"mp42") + SECRET):
        check(data + tail, "JPEG")
    several = saved("MPO", frames(), exif=exif())
    found = picture.inspect(several, max_pixels=PIXELS)
    assert SECRET in several
    assert SECRET not in found.copy
    assert pixels(found.copy) == pixels(several)[:1]


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"tEXt", b"Comment\0" + SECRET),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        (b"eXIf", exif()[6:]),
        (b"tIME", SECRET[:7]),
        (b"caBX", SECRET),
        (b"miSC", SECRET),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_no_chunk_of_a_png_tells_the_place(kind: bytes, content: bytes, last: bool) -> None:
    data = saved("PNG", frames()[:1])
    at = len(data) - 12 if last else 33
    check(data[:at] + chunk(kind, content) + data[at:] + SECRET, "PNG")


def test_a_compressed_text_of_a_png_is_left_out() -> None:
    data = saved("PNG", frames()[:1])
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(SECRET))
    copy = check(data[:33] + text + data[33:] + SECRET, "PNG")
    assert b"zTXt" not in copy


def riff(content: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(content) + 4) + b"WEBP" + content


def webp(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


@pytest.mark.parametrize("kind", [b"EXIF", b"XMP ", b"GPSX", b"META"])
@pytest.mark.parametrize("animated", [False, True])
def test_no_chunk_of_a_webp_tells_the_place(kind: bytes, animated: bool) -> None:
    data = saved("WEBP", frames() if animated else frames()[:1], exif=exif(), xmp=XMP)
    check(riff(data[12:] + webp(kind, SECRET)) + SECRET, "WEBP")


def test_no_frame_of_a_webp_tells_the_place() -> None:
    data = saved("WEBP", frames(), lossless=True)
    content, at = b"", 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        part = data[at + 8 : at + 8 + size]
        content += webp(kind, part + webp(b"GPSX", SECRET) if kind == b"ANMF" else part)
        at += 8 + size + size % 2
    check(riff(content), "WEBP")


def blocks(content: bytes) -> bytes:
    return bytes([len(content)]) + content + b"\0"


@pytest.mark.parametrize(
    "extension",
    [
        b"\x21\xfe" + blocks(SECRET),
        b"\x21\x01" + blocks(bytes(12))[:-1] + blocks(SECRET),
        b"\x21\xff" + blocks(b"XMP DataXMP")[:-1] + blocks(SECRET),
        b"\x21\xff" + blocks(b"NETSCAPE2.0")[:-1] + blocks(b"\1\0\0")[:-1] + blocks(SECRET),
        b"\x21\xff" + blocks(b"NETSCAPE2.0")[:-1] + blocks(SECRET),
        b"\x21\x99" + blocks(SECRET),
        b"\x21\xf9" + blocks(b"\4\0\0\0")[:-1] + blocks(SECRET),
    ],
    ids=["comment", "text", "XMP", "after loops", "as loops", "unknown", "control"],
)
def test_no_extension_of_a_gif_tells_the_place(extension: bytes) -> None:
    data = saved("GIF", frames("P"), loop=3)
    at = 13 + (3 << (data[10] & 7) + 1)
    check(data[:at] + extension + data[at:] + SECRET, "GIF")
    check(data[:-1] + extension + b";" + SECRET, "GIF")
