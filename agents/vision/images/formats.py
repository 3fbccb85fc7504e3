"""Detect the file format from the first bytes. File names and HTTP headers are ignored."""

from __future__ import annotations

ACCEPTED = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF")
"""The accepted formats, by Pillow's names. MPO is JPEG with more pictures after the first."""

_ISO_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIF",
    b"heix": "HEIF",
    b"heim": "HEIF",
    b"heis": "HEIF",
    b"hevc": "HEIF",
    b"hevx": "HEIF",
}
_SEQUENCE_BRANDS = (b"avis", b"hevc", b"hevx")
_OTHERS = (
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"8BPS", "PSD"),
    (b"%PDF", "PDF"),
    (b"\0\0\1\0", "ICO"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x1aE\xdf\xa3", "Matroska"),
    (b"qoif", "QOI"),
    (b"<svg", "SVG"),
)


def sniff(data: bytes) -> str | None:
    """Name the format: one of `ACCEPTED`, the name of another known one, or None."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return next((_ISO_BRANDS[b] for b in _brands(data) if b in _ISO_BRANDS), "ISO media")
    return next((name for magic, name in _OTHERS if data.startswith(magic)), None)


def is_sequence(data: bytes) -> bool:
    """Tell whether an AVIF or HEIF file declares itself as a sequence."""
    return data[4:8] == b"ftyp" and _brands(data)[0] in _SEQUENCE_BRANDS


def ends_early(data: bytes, kind: str) -> bool:
    """Tell whether the container shows that bytes are missing at the end.

    Some decoders fill missing parts with grey without an error.
    """
    if kind == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if kind == "PNG":
        return b"IEND" not in data[-65_536:]
    if kind == "GIF":
        return not data.rstrip(b"\0").endswith(b";")
    if kind in ("AVIF", "HEIF"):
        return _boxes_end_early(data)
    return False


def _brands(data: bytes) -> list[bytes]:
    end = min(int.from_bytes(data[:4], "big"), 256)
    compatible = [data[at : at + 4] for at in range(16, end, 4)]
    return [data[8:12], *compatible]


def _boxes_end_early(data: bytes) -> bool:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:  # "to the end of the file"
            return False
        if size < 8:
            return True
        at += size
    return at > len(data)
