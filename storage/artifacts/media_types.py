"""The content types and file name extensions of photos, by the format that decoding found.

File names and the types that clients state do not count: they are often wrong.
"""

from __future__ import annotations

_TYPES = {
    "JPEG": ("image/jpeg", ".jpg"),
    "PNG": ("image/png", ".png"),
    "GIF": ("image/gif", ".gif"),
    "WEBP": ("image/webp", ".webp"),
    "AVIF": ("image/avif", ".avif"),
    "HEIF": ("image/heic", ".heic"),
}
_UNKNOWN = ("application/octet-stream", "")

PHOTO_TYPES = frozenset(content_type for content_type, _ in _TYPES.values())
"""The content types of all accepted photos."""


def content_type(photo_format: str) -> str:
    """Return the content type of a format such as ``JPEG`` (`Validated.format`)."""
    return _TYPES.get(photo_format, _UNKNOWN)[0]


def extension(photo_format: str) -> str:
    """Return the extension with its dot, such as ``.jpg``; empty for an unknown format."""
    return _TYPES.get(photo_format, _UNKNOWN)[1]
