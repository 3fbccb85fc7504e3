"""The artifact store's port: immutable objects under content-derived keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

CHUNK = 256 * 1024


@dataclass(frozen=True)
class ArtifactInfo:
    """What is known of one object without reading it.

    ``size`` is in bytes, ``etag`` is opaque and changes with the content, ``modified`` is UTC.
    """

    key: str
    size: int
    etag: str
    modified: datetime
    content_type: str


class ArtifactStore(Protocol):
    """Bytes under keys. Blocking and thread-safe: call it from worker threads.

    Every method raises `StoreUnavailable` when the store is out of reach and `InvalidKey` for a
    key that is empty, absolute, over 512 characters, or has ``..``, ``\\``, control characters,
    an empty part or a dot in front. No object may lie inside another (``a`` and ``a/b``): a
    directory refuses that with `InvalidKey`, S3 does not.
    A reader sees an object whole or not at all: writes are atomic, the last one wins.
    """

    def put(
        self, key: str, data: bytes | BinaryIO, *, content_type: str = "application/octet-stream"
    ) -> ArtifactInfo:
        """Store ``data`` (bytes, or a binary file read to its end in chunks) under ``key``."""

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return the object's bytes, or ``length`` of them from ``offset``.

        Raises `ArtifactNotFound`. A range past the end is cut to what is there.
        """

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the same bytes in chunks of at most 256 KiB. Raises `ArtifactNotFound` at once."""

    def stat(self, key: str) -> ArtifactInfo:
        """Return size, ETag, time and type. Raises `ArtifactNotFound`."""

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under ``key``."""

    def copy(self, source: str, destination: str) -> None:
        """Copy inside the store, without the bytes passing through this process where it can.

        Raises `ArtifactNotFound` when ``source`` is not there.
        """

    def delete(self, key: str) -> None:
        """Remove the object; deleting what is not there is no error."""

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[str]:
        """Return the first ``limit`` sorted keys that start with ``prefix``, beyond ``after``."""

    def signed_link(self, key: str, *, expires_s: int, method: str = "GET") -> str:
        """Return a URL that lets its holder read (``GET``) or write (``PUT``) one object.

        Valid for ``expires_s`` seconds (1 to 604,800).
        """

    def check(self) -> None:
        """Return when the store can be written to; raise `StoreUnavailable` with the reason."""
