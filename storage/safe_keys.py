"""Which keys an artifact may have: what means the same as a file, in S3 and in a URL."""

from __future__ import annotations

import unicodedata

from storage.errors import InvalidKey

LONGEST = 512
LONGEST_SEGMENT_BYTES = 255


def safe_key(key: str) -> str:
    """Return ``key``, or raise `InvalidKey` with what is wrong with it."""
    safe_prefix(key)
    segments = key.split("/")
    if not all(segments):
        raise InvalidKey("a key has no empty parts")
    if "." in segments:
        raise InvalidKey("a key has no part that is only a dot")
    if max(len(segment.encode()) for segment in segments) > LONGEST_SEGMENT_BYTES:
        raise InvalidKey(f"a part of a key has at most {LONGEST_SEGMENT_BYTES} bytes")
    return key


def safe_prefix(prefix: str) -> str:
    """Return ``prefix``, which may be empty or end anywhere, or raise `InvalidKey`."""
    if len(prefix) > LONGEST:
        raise InvalidKey(f"a key has at most {LONGEST} characters")
    if prefix.startswith(("/", ".")):
        raise InvalidKey("a key does not start with a slash or a dot")
    if ".." in prefix or "\\" in prefix:
        raise InvalidKey("a key has neither '..' nor a backslash")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in prefix):
        raise InvalidKey("a key has no control characters")
    return prefix
