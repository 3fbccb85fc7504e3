"""Errors of the stores.

    StorageError
    ├── StoreUnavailable   unavailable now; the same call may succeed later
    │   └── StorageFull    no space is left; deleting makes room
    ├── ArtifactNotFound   no object has this key
    ├── InvalidKey         the key is not allowed
    ├── InvalidLink        the signature does not fit the link
    ├── LinkExpired        the link has expired
    ├── InvalidCursor      the cursor was not returned by a listing
    └── InvalidStoreUrl    LOOKSTREAM_ARTIFACTS or LOOKSTREAM_JOBS is malformed

Adapters translate their drivers' errors (urllib3, minio, pymongo, sqlite3, OSError) into these.
"""

from __future__ import annotations

import errno
from typing import ClassVar


class StorageError(Exception):
    """Base of all storage errors; ``code`` is stable and shared with REST and events."""

    code: ClassVar[str] = "storage-error"


class StoreUnavailable(StorageError):
    code = "store-unavailable"


class StorageFull(StoreUnavailable):
    code = "storage-full"


class ArtifactNotFound(StorageError):
    code = "artifact-not-found"


class InvalidKey(StorageError):
    code = "invalid-key"


class InvalidLink(StorageError):
    code = "invalid-link"


class LinkExpired(StorageError):
    code = "link-expired"


class InvalidCursor(StorageError):
    code = "invalid-cursor"


class InvalidStoreUrl(StorageError):
    code = "invalid-store-url"


def is_disk_full(error: OSError) -> bool:
    """Tell whether a file could not be written because no space or quota is left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
