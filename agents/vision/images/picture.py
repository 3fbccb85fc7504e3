"""Decode untrusted pictures. Runs in the decoding child and needs only Pillow and pillow-heif."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import mul
from statistics import median

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)
from pillow_heif import HeifImageFile

from agents.stages.errors import Rejected
from agents.vision.images import containers, formats, jpeg_ends
from agents.vision.images.colour import to_srgb
from agents.vision.images.metadata import without_metadata

Image.MAX_IMAGE_PIXELS = None  # this module checks its own limit before decoding

Fractions = tuple[float, float, float, float]
"""Left, top, right, bottom in 0–1 of the upright picture."""

_DECODERS_RAISE = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError,
    OverflowError, ArithmeticError, RuntimeError, NotImplementedError, AssertionError, MemoryError,
    struct.error, zlib.error,
)  # fmt: skip
_OPENERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,  # of an MPO, the first picture
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIF": HeifImageFile,
}
_MIN_SIDE = 17
"""The shortest side in pixels. Smaller pictures are icons and tracking pixels; no garment shows."""
_MAX_SCANS, _MAX_SCANNED_PIXELS = 100, 1_500_000_000
"""Limits of a JPEG's scans; each scan costs time for all pixels. Usual files have 1 to 12."""
_MAX_WEBP_PIXELS = 50_000_000
"""Pillow's WebP decoder needs 16 bytes for each pixel, four times as many as the others."""
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass
class _Opened:
    """A file that is open and not decoded yet.

    ``data`` has nothing after the image's end. Decoding may reduce ``image``; ``size`` stays.
    """

    data: bytes
    kind: str
    image: ImageFile.ImageFile
    size: tuple[int, int]
    turn: int
    cicp: containers.Cicp | None


@dataclass(frozen=True)
class Inspected:
    """A picture's properties, its working copy, and its full-size copy without metadata.

    Sizes are of the upright original, in pixels. ``copy`` and ``copy_format`` are empty if the
    structure is unusual; then `crops` gives a copy, as a JPEG.
    """

    format: str
    width: int
    height: int
    animated: bool
    perceptual_hash: str
    working: bytes
    copy: bytes
    copy_format: str


def inspect(data: bytes, *, max_pixels: int, long_side: int = 1024) -> Inspected:
    """Decode ``data`` once and return everything that validation needs.

    The working copy is an upright sRGB JPEG without metadata, its long side at most
    ``long_side``. Raises `Rejected`.
    """
    opened = _open(data, max_pixels)
    width, height = _swapped(opened.image.size, opened.turn)
    if min(width, height) < _MIN_SIDE:
        raise Rejected(
            "too-small",
            f"The image has {width} × {height} pixels; each side needs at least {_MIN_SIDE}.",
        )
    animated = _is_animated(opened)
    working, phash = _working(opened, long_side / max(width, height))
    del opened.image  # its memory is free for the copy
    copy = _copy(opened, max_pixels)
    form = opened.kind if copy else ""
    return Inspected(opened.kind, width, height, animated, phash, working, copy, form)


def _working(opened: _Opened, scale: float) -> tuple[bytes, str]:
    """Return the working copy and the perceptual hash."""
    width, height = (max(1, round(side * min(1.0, scale))) for side in opened.size)
    target = width, height
    image = _resized(_loaded(opened, target), target)
    picture = _upright(to_srgb(image, opened.cicp), opened.turn)
    return _jpeg(picture, quality=90), perceptual_hash(picture)


def _copy(opened: _Opened, max_pixels: int) -> bytes:
    """Return the photo without metadata, in its own format; empty if its structure is unusual."""
    try:
        found = without_metadata(opened.data, opened.kind, opened.turn)
        if opened.kind in ("PNG", "GIF"):  # opening decodes all pixels of a PNG
            return found
        again = _open(found, max_pixels)
        if again.image.size == opened.size and again.turn == opened.turn:
            return found
    except (Rejected, ValueError, IndexError, struct.error):
        pass
    return b""


def measure(data: bytes, *, max_pixels: int) -> tuple[int, int]:
    """Return the upright picture's width and height, in pixels. Raises `Rejected`."""
    opened = _open(data, max_pixels)
    return _swapped(opened.image.size, opened.turn)


def crops(data: bytes, boxes: Sequence[Fractions], *, max_pixels: int) -> list[bytes]:
    """Crop ``boxes`` from the picture at full resolution; return upright sRGB JPEGs, in order.

    A box of less than one pixel gives one pixel. Raises `Rejected`.
    """
    opened = _open(data, max_pixels)
    image = _loaded(opened)
    cut = []
    for box in boxes:
        piece = image.crop(_pixels(_unturned(box, opened.turn), image.size))
        cut.append(_jpeg(_upright(to_srgb(piece, opened.cicp), opened.turn), quality=92))
    return cut


def pixel_limit(kind: str, max_pixels: int) -> int:
    """Return the most pixels that a picture of this format may have."""
    return min(max_pixels, _MAX_WEBP_PIXELS) if kind == "WEBP" else max_pixels


def _open(data: bytes, max_pixels: int) -> _Opened:
    kind = formats.accepted(data)
    max_pixels = pixel_limit(kind, max_pixels)
    with _decoders_errors():
        container = containers.read(data, kind)
        scans = jpeg_ends.scans(data, _MAX_SCANS + 1) if kind == "JPEG" else 1
    if container.incomplete:
        raise Rejected("truncated-image", "The image is incomplete: its end is missing.")
    if container.size:
        _check_pixels(container.size, max_pixels)
    data = data[: container.end]
    with _decoders_errors():
        image = _OPENERS[kind](io.BytesIO(data))
    _check_pixels(image.size, max_pixels)
    if kind == "PNG":  # its EXIF may follow the pixels
        with _decoders_errors():
            image.load()
    if kind == "JPEG":
        _check_scans(scans, image.size)
    turn = _orientation(image, kind, container)
    return _Opened(data, kind, image, image.size, turn, container.cicp)


def _check_pixels(size: tuple[int, int], most: int) -> None:
    if size[0] * size[1] > most:
        raise Rejected(
            "too-many-pixels",
            f"The image has {size[0]} × {size[1]} pixels; at most {most:,} are allowed.",
        )


def _check_scans(count: int, size: tuple[int, int]) -> None:
    most = min(_MAX_SCANS, max(1, _MAX_SCANNED_PIXELS // max(1, size[0] * size[1])))
    if count > most:
        raise Rejected(
            "too-many-scans",
            f"The JPEG has more than {most} scans, the most that are allowed for its size.",
        )


def _loaded(opened: _Opened, target: tuple[int, int] | None = None) -> Image.Image:
    """Decode the pixels; those of a JPEG at reduced size, but never smaller than ``target``."""
    image = opened.image
    try:
        with _decoders_errors():
            if opened.kind == "JPEG":
                image.draft(None, target)
            image.load()
    except Rejected as error:
        if opened.kind != "JPEG" or error.code != "truncated-image":
            raise
        with _decoders_errors():
            whole = jpeg_ends.with_end(opened.data)
            if whole is None:
                raise
            image = JpegImagePlugin.JpegImageFile(io.BytesIO(whole))
            image.draft(None, target)
            image.load()
    return image


def _upright(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else image


@contextmanager
def _decoders_errors() -> Iterator[None]:
    """Translate the errors of Pillow and its decoders into `Rejected`."""
    try:
        yield
    except _DECODERS_RAISE as error:
        detail = f"{type(error).__name__}: {error}"[:300]
        if isinstance(error, EOFError) or "truncated" in detail.lower():
            raise Rejected(
                "truncated-image", "The image is incomplete: its end is missing.", detail
            ) from error
        raise Rejected("decode-failed", "The image cannot be decoded.", detail) from error


def _orientation(image: Image.Image, kind: str, container: containers.Container) -> int:
    """Return how the decoded picture is turned: EXIF's numbers 1–8."""
    try:
        turn = image.getexif().get(_ORIENTATION_TAG, 1)
        if kind == "HEIF":  # the decoder turns by the container and drops EXIF's number
            turn = 1 if container.turned else image.info["original_orientation"]
        elif kind == "AVIF" and not container.turned:
            turn = _from_exif(container.exif)
        return turn if turn in _UPRIGHT else 1
    except _DECODERS_RAISE:
        return 1  # broken metadata does not make a picture invalid


def _from_exif(item: bytes) -> int | None:
    """Return the orientation of an Exif item, which begins with the TIFF header's offset."""
    exif = Image.Exif()
    exif.load(item[4 + int.from_bytes(item[:4], "big") :])
    return exif.get(_ORIENTATION_TAG)


def _is_animated(opened: _Opened) -> bool:
    if opened.kind == "JPEG":
        return False  # the other pictures of an MPO are previews and second views
    if opened.kind in ("AVIF", "HEIF"):
        return formats.is_sequence(opened.data)
    try:
        animated = bool(getattr(opened.image, "is_animated", False))
        opened.image.seek(0)
    except _DECODERS_RAISE:
        return False
    return animated


def _resized(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    if image.size == target:
        return image
    coloured = image.mode in ("1", "P", "PA")
    if coloured or ("transparency" in image.info and image.mode != "I;16"):
        image = image.convert(_full_colour(image))
    method = Image.Resampling.BOX if image.mode == "I;16" else Image.Resampling.LANCZOS
    return image.resize(target, method, reducing_gap=None if image.mode == "I;16" else 2.0)


def _full_colour(image: Image.Image) -> str:
    if image.mode == "1":
        return "L"
    return "RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB"


def _swapped(size: tuple[int, int], turn: int) -> tuple[int, int]:
    return (size[1], size[0]) if turn >= 5 else size


def _unturned(box: Fractions, turn: int) -> Fractions:
    """Convert a box of the upright picture to the stored picture."""
    left, top, right, bottom = box
    return {
        2: (1 - right, top, 1 - left, bottom),
        3: (1 - right, 1 - bottom, 1 - left, 1 - top),
        4: (left, 1 - bottom, right, 1 - top),
        5: (top, left, bottom, right),
        6: (top, 1 - right, bottom, 1 - left),
        7: (1 - bottom, 1 - right, 1 - top, 1 - left),
        8: (1 - bottom, left, 1 - top, right),
    }.get(turn, box)


def _pixels(box: Fractions, size: tuple[int, int]) -> tuple[int, int, int, int]:
    width, height = size
    left = min(max(round(box[0] * width), 0), width - 1)
    top = min(max(round(box[1] * height), 0), height - 1)
    right = min(max(round(box[2] * width), left + 1), width)
    bottom = min(max(round(box[3] * height), top + 1), height)
    return left, top, right, bottom


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


_HASH_SIDE, _LOW = 32, 8
_COSINES = [
    [math.cos(math.pi * k * (2 * n + 1) / (2 * _HASH_SIDE)) for n in range(_HASH_SIDE)]
    for k in range(_LOW)
]


def perceptual_hash(image: Image.Image) -> str:
    """Return 16 hex digits: the signs of the 64 lowest DCT coefficients about their median.

    The pHash of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions"
    (2010), on a grey 32×32 reduction. Plain Python, because the decoding child does not load numpy.
    """
    grey = image.convert("L").resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.LANCZOS).tobytes()
    rows = [grey[y * _HASH_SIDE : (y + 1) * _HASH_SIDE] for y in range(_HASH_SIDE)]
    across = [[sum(map(mul, cosine, row)) for row in rows] for cosine in _COSINES]
    low = [sum(map(mul, cosine, column)) for cosine in _COSINES for column in across]
    middle = median(low)
    bits = sum(1 << (63 - i) for i, value in enumerate(low) if value > middle)
    return f"{bits:016x}"
