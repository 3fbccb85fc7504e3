"""The keys of all artifacts, and the rules for keys. The rules make a key valid, unchanged, as a
path in a file system, as an S3 key and in a URL."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable

from storage.artifacts import media_types
from storage.errors import InvalidKey

INCOMING, UPLOADS, ORIGINALS = "incoming/", "uploads/", "originals/"
QUARANTINE = (INCOMING, UPLOADS)
"""Prefixes of files that validation has not accepted yet."""
IRREPLACEABLE = (*QUARANTINE, ORIGINALS)
"""Prefixes of submitted photos. Everything else can be computed again from these."""


def incoming(job_id: str) -> str:
    """Quarantine: an uploaded file that was not validated yet."""
    return f"{INCOMING}{job_id}"


def upload(job_id: str) -> str:
    """Quarantine: a file that a client uploaded to the store by a signed link."""
    return f"{UPLOADS}{job_id}"


def original(sha256: str) -> str:
    return f"{ORIGINALS}{sha256}"


def copy(sha256: str, photo_format: str) -> str:
    """The photo in full size without metadata."""
    return f"copies/{sha256}/photo{media_types.extension(photo_format)}"


def working(sha256: str) -> str:
    """Upright sRGB JPEG without metadata, long side at most 1024 px."""
    return f"working/{sha256}.jpg"


def thumbnail(sha256: str, width: int, height: int) -> str:
    return f"thumbnails/{sha256}/{width}x{height}.jpg"


def shot(sha256: str, version: str, label: str) -> str:
    return f"shots/{sha256}/{version}/{label}.jpg"


def annotated(sha256: str, version: str) -> str:
    return f"annotated/{sha256}/{version}.jpg"


def cutout(sha256: str, version: str) -> str:
    return f"cutouts/{sha256}/{version}.png"


def result(sha256: str, stage: str, version: str) -> str:
    """A stage's payload for this content and version, as JSON."""
    return f"results/{sha256}/{stage}@{version}.json"


def source_record(source: str) -> str:
    """Content hash, ETag and Last-Modified of a URL or an uploaded object, as JSON."""
    return f"sources/{hashlib.sha256(source.encode()).hexdigest()}.json"


def erasure(job_id: str = "") -> str:
    """The note for the erasure of a deleted job; without ``job_id`` the prefix of all notes."""
    return f"erasures/{job_id}.json" if job_id else "erasures/"


def replay(replay_id: str) -> str:
    """The status of a replay, as JSON."""
    return f"replays/{replay_id}.json"


def claim(sha256: str, job_id: str = "") -> str:
    """A job's claim on a content, made by validation; without ``job_id`` the prefix of claims."""
    return f"claims/{sha256}/{job_id}"


def content_of(job_id: str, sha256: str = "") -> str:
    """A note that a job has this content. Validation writes the note before its other artifacts of
    the content. The note's data is the key of the source record. Without ``sha256``: the prefix of
    the job's notes."""
    return f"contents/{job_id}/{sha256}"


def erasing(sha256: str) -> str:
    """A marker that exists while a content is being erased. Its data is the time of the start."""
    return f"erasing/{sha256}"


def of_stage(stage: str, sha256: str, name: str) -> str:
    """Return the key of a custom stage's artifact; ``name`` may contain slashes."""
    return f"stages/{stage}/{sha256}/{name}"


def of_content(sha256: str, kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the prefixes of everything derived from one content.

    ``kinds`` are the artifact prefixes that the stages declare. The cached results come first:
    callers delete in this order, so a cached result never names a deleted picture.
    """
    prefixes = (f"{kind}/{sha256}/" for kind in ("results", *kinds))
    return (*prefixes, working(sha256), original(sha256))


def belongs(key: str, sha256: str, kinds: Iterable[str]) -> bool:
    """Tell whether ``key`` is an artifact of one content, under a prefix in ``kinds``.

    A key in an event or in a stored result may be forged: read or sign the artifact only if the key
    belongs to the content.
    """
    try:
        safe_key(key)
    except InvalidKey:
        return False
    return key.startswith(tuple(f"{kind}/{sha256}/" for kind in kinds))


MAX_CHARACTERS = 512
MAX_SEGMENT_BYTES = 255


def safe_key(key: str) -> str:
    """Return ``key``, or raise `InvalidKey` with the reason."""
    safe_prefix(key)
    segments = key.split("/")
    if not all(segments):
        raise InvalidKey("a key has no empty parts")
    if "." in segments:
        raise InvalidKey("a key has no part that is only a dot")
    if max(len(segment.encode()) for segment in segments) > MAX_SEGMENT_BYTES:
        raise InvalidKey(f"a part of a key has at most {MAX_SEGMENT_BYTES} bytes")
    return key


def safe_prefix(prefix: str) -> str:
    """Return ``prefix``, which may be empty or end inside a segment, or raise `InvalidKey`."""
    if len(prefix) > MAX_CHARACTERS:
        raise InvalidKey(f"a key has at most {MAX_CHARACTERS} characters")
    if prefix.startswith(("/", ".")):
        raise InvalidKey("a key does not start with a slash or a dot")
    if ".." in prefix or "\\" in prefix:
        raise InvalidKey("a key has neither '..' nor a backslash")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in prefix):
        raise InvalidKey("a key has no control characters")
    return prefix
