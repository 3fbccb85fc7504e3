"""A photo to be handed over: a file's path, a URL, or bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookstream.client.wishes import said
from lookstream.errors import NothingThere

Photo = str | Path | bytes
"""A string with ``://`` in it is a URL, any other a path."""

LARGE = 5_000_000
"""Bytes above which a photo goes straight to the store, by a presigned upload."""


@dataclass(frozen=True)
class Small:
    """A photo of this machine that travels with the request."""

    content: bytes
    sha256: str


@dataclass(frozen=True)
class Large:
    """A photo of this machine that goes to the store; a path is streamed."""

    content: bytes | Path
    sha256: str


def is_url(photo: Photo) -> bool:
    """Tell an address from a path."""
    return isinstance(photo, str) and "://" in photo


def name_of(photo: Photo) -> str:
    """Return how a photo is called in reports."""
    return f"{len(photo)} bytes" if isinstance(photo, bytes) else str(photo)


def local(photo: Photo) -> Small | Large:
    """Read a photo, or only its hash when it is a large file. Raises `NothingThere`."""
    if isinstance(photo, bytes):
        return _sized(photo)
    path = Path(photo)
    try:
        if path.stat().st_size <= LARGE:
            return _sized(path.read_bytes())
        with path.open("rb") as file:
            return Large(path, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise NothingThere(f"{path}: {error.strerror}") from None


def _sized(content: bytes) -> Small | Large:
    kind = Large if len(content) > LARGE else Small
    return kind(content, hashlib.sha256(content).hexdigest())


def key_of(identity: str, wishes: Mapping[str, Any]) -> str:
    """Return the idempotency key of what is said here: the same photo with the same wishes.

    ``identity`` is a photo's hash or its URL. Two runs of a script agree on it, so the gateway
    gives the second one the first one's job.
    """
    told = json.dumps({"photo": identity, **said(wishes)}, sort_keys=True, ensure_ascii=False)
    return "photo-" + hashlib.sha256(told.encode()).hexdigest()
