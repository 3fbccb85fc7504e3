"""The artifact store's port: immutable objects under content-derived keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

CHUNK = 256 * 1024


@dataclass(frozen=True)
class ArtifactInfo:
    """The properties of one object, without its bytes.

    ``size`` is in bytes, ``etag`` is opaque and changes with the content, ``modified`` is UTC.
    """

    key: str
    size: int
    etag: str
    modified: datetime
    content_type: str


class ArtifactStore(Protocol):
    """Bytes under keys. Blocking and thread-safe: call it from worker threads.

    Every method raises `StoreUnavailable` if the store is unavailable, and `InvalidKey` for a key
    that `storage.artifacts.keys.safe_key` refuses. Do not write both ``a`` and ``a/b``:
    `DirectoryArtifacts` refuses the second write with `InvalidKey`; an S3 server may accept it.
    Writes are atomic, and the last one wins: a reader gets a whole object or none.
    """

    def put(
        self, key: str, data: bytes | BinaryIO, *, content_type: str = "application/octet-stream"
    ) -> ArtifactInfo:
        """Store ``data`` (bytes, or a binary file read to its end in chunks) under ``key``."""

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return the object's bytes, or ``length`` of them from ``offset``.

        Raises `ArtifactNotFound`. A range past the end is shortened.
        """

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the same bytes in chunks of at most 256 KiB. Raises `ArtifactNotFound` at once."""

    def stat(self, key: str) -> ArtifactInfo:
        """Return an object's properties. Raises `ArtifactNotFound`."""

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under ``key``."""

    def copy(self, source: str, destination: str, *, content_type: str | None = None) -> None:
        """Copy inside the store, if possible without reading the bytes.

        ``content_type`` replaces the source's type. Raises `ArtifactNotFound` if ``source`` does
        not exist.
        """

    def delete(self, key: str) -> None:
        """Delete the object; a missing object is not an error."""

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[str]:
        """Return at most ``limit`` keys with ``prefix`` that sort after ``after``, in order."""

    def signed_link(
        self, key: str, *, expires_s: int, method: str = "GET", size: int | None = None
    ) -> str:
        """Return a URL that lets its holder read (``GET``) or write (``PUT``) one object.

        The URL is valid for at least ``expires_s`` seconds (1 to 604,800). A ``PUT`` link with
        ``size`` to an S3 server accepts exactly ``size`` bytes; the gateway applies its own limit
        instead. Raises ValueError for another time or method.
        """

    def check(self) -> None:
        """Return if the store is writable; raise `StoreUnavailable` with the reason."""
