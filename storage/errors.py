"""What a store can say no with.

    StorageError
    ├── StoreUnavailable   out of reach now; the same call may go through later
    ├── ArtifactNotFound   no object under that key
    ├── InvalidKey         a key that no artifact may have
    ├── InvalidLink        a link that is not signed by us, or not for this object
    ├── LinkExpired        a link past its time
    ├── InvalidCursor      a paging cursor that no page gave out
    └── InvalidStoreUrl    a LOOKSTREAM_ARTIFACTS or LOOKSTREAM_JOBS that cannot be read

Drivers' own errors (urllib3, minio, pymongo, sqlite3, OSError) never leave this package.
"""

from __future__ import annotations

from typing import ClassVar


class StorageError(Exception):
    """Base of all storage errors; ``code`` is stable and shared with REST and events."""

    code: ClassVar[str] = "storage-error"


class StoreUnavailable(StorageError):
    code = "store-unavailable"


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
