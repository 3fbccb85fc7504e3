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

from PIL import Image
from pillow_heif import register_heif_opener

from agents.stages.errors import Rejected
from agents.vision.images import formats
from agents.vision.images.colour import to_srgb

register_heif_opener()
Image.MAX_IMAGE_PIXELS = None  # this module checks its own limit before decoding

Fractions = tuple[float, float, float, float]
"""Left, top, right, bottom in 0–1 of the upright picture."""

_DECODERS_RAISE = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError,
    OverflowError, ArithmeticError, RuntimeError, NotImplementedError, AssertionError, MemoryError,
    struct.error, zlib.error,
)  # fmt: skip
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


@dataclass(frozen=True)
class Inspected:
    """A picture's properties and its working copy. Sizes are of the upright original, in pixels."""

    format: str
    width: int
    height: int
    animated: bool
    perceptual_hash: str
    working: bytes


def inspect(data: bytes, *, max_pixels: int, long_side: int = 1024) -> Inspected:
    """Decode ``data`` once and return everything that validation needs.

    The working copy is an upright sRGB JPEG without metadata, its long side at most
    ``long_side``. Raises `Rejected`.
    """
    image, kind = _open(data, max_pixels)
    turn = _orientation(image)
    width, height = _swapped(image.size, turn)
    animated = _is_animated(image, data, kind)
    scale = min(1.0, long_side / max(image.size))
    target = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    with _decoders_errors():
        if kind == "JPEG":
            image.draft(None, target)  # decodes at 1/2, 1/4 or 1/8, never below the target
        image.load()
    picture = to_srgb(_resized(image, target))
    if turn in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[turn])
    return Inspected(
        kind, width, height, animated, perceptual_hash(picture), _jpeg(picture, quality=90)
    )


def measure(data: bytes, *, max_pixels: int) -> tuple[int, int]:
    """Return the upright picture's width and height, in pixels. Raises `Rejected`."""
    image, _ = _open(data, max_pixels)
    return _swapped(image.size, _orientation(image))


def crops(data: bytes, boxes: Sequence[Fractions], *, max_pixels: int) -> list[bytes]:
    """Crop ``boxes`` from the picture at full resolution; return upright sRGB JPEGs, in order.

    A box of less than one pixel gives one pixel. Raises `Rejected`.
    """
    image, _ = _open(data, max_pixels)
    turn = _orientation(image)
    with _decoders_errors():
        image.load()
    cut = []
    for box in boxes:
        piece = to_srgb(image.crop(_pixels(_unturned(box, turn), image.size)))
        cut.append(_jpeg(piece.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else piece, 92))
    return cut


def _open(data: bytes, max_pixels: int) -> tuple[Image.Image, str]:
    if not data:
        raise Rejected("empty-file", "The file is empty.")
    kind = formats.sniff(data)
    if kind is None:
        raise Rejected("not-an-image", "The file is not an image.")
    if kind not in formats.ACCEPTED:
        raise Rejected(
            "unsupported-format",
            f"{kind} is not supported; send JPEG, PNG, GIF, WebP, AVIF or HEIC.",
        )
    if formats.ends_early(data, kind):
        raise Rejected("truncated-image", "The image is incomplete: its end is missing.")
    with _decoders_errors():
        image = Image.open(io.BytesIO(data), formats=[kind])
    if image.width * image.height > max_pixels:
        raise Rejected(
            "too-many-pixels",
            f"The image has {image.width} × {image.height} pixels; "
            f"at most {max_pixels:,} are allowed.",
        )
    return image, kind


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


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except _DECODERS_RAISE:
        return 1  # broken metadata does not make a picture invalid


def _is_animated(image: Image.Image, data: bytes, kind: str) -> bool:
    if kind == "JPEG":
        return False  # the other pictures of an MPO are previews and second views
    if kind in ("AVIF", "HEIF"):
        return formats.is_sequence(data)
    try:
        animated = bool(getattr(image, "is_animated", False))
        image.seek(0)
    except _DECODERS_RAISE:
        return False
    return animated


def _resized(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    if image.size == target:
        return image
    if image.mode not in ("L", "RGB", "LA", "RGBA", "CMYK", "I;16"):
        image = image.convert(_full_colour(image)) if image.mode in ("1", "P", "PA") else image
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
