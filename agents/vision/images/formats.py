"""Detect the file format from the first bytes. File names and HTTP headers are ignored."""

from __future__ import annotations

from agents.stages.errors import Rejected

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
HEAD = 65_536
"""Bytes that tell the format. In them, a file of the general brand ``mif1`` names the coding of its
pictures."""
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
        brands = _brands(data)
        general = "HEIF" if b"mif1" in brands and b"hvc1" in data[:HEAD] else "ISO media"
        return next((_ISO_BRANDS[brand] for brand in brands if brand in _ISO_BRANDS), general)
    return next((name for magic, name in _OTHERS if data.startswith(magic)), None)


def accepted(data: bytes) -> str:
    """Return the format, one of `ACCEPTED`, of the first `HEAD` bytes. Raises `Rejected`."""
    if not data:
        raise Rejected("empty-file", "The file is empty.")
    kind = sniff(data)
    if kind is None:
        raise Rejected("not-an-image", "The file is not an image.")
    if kind not in ACCEPTED:
        raise Rejected(
            "unsupported-format",
            f"{kind} is not supported; send JPEG, PNG, GIF, WebP, AVIF or HEIC.",
        )
    return kind


def is_sequence(data: bytes) -> bool:
    """Tell whether an AVIF or HEIF file declares itself as a sequence."""
    return data[4:8] == b"ftyp" and _brands(data)[0] in _SEQUENCE_BRANDS


def _brands(data: bytes) -> list[bytes]:
    end = min(int.from_bytes(data[:4], "big"), 256)
    compatible = [data[at : at + 4] for at in range(16, end, 4)]
    return [data[8:12], *compatible]
