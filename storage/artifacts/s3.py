"""Artifacts in a bucket of MinIO, or of anything else that speaks S3."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from threading import Lock
from typing import BinaryIO

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.error import MinioException, S3Error
from minio.notificationconfig import PrefixFilterRule, QueueConfig

from storage.artifacts.keys import safe_key, safe_prefix
from storage.artifacts.links import Presigner, Signs
from storage.artifacts.store import CHUNK, ArtifactInfo
from storage.errors import ArtifactNotFound, InvalidKey, StorageError, StoreUnavailable

PART = 5 * 1024 * 1024  # the smallest that S3 takes; what a streaming put holds in memory
PROBE = ".lookstream/probe"  # no key starts with a dot

MISSING = frozenset({"NoSuchKey", "NoSuchObject"})
BAD_KEY = frozenset({"KeyTooLongError", "XMinioInvalidObjectName", "XMinioObjectExistsAsDirectory"})
BAD_REQUEST = frozenset({"EntityTooLarge", "InvalidArgument", "InvalidRequest"})


class MinioArtifacts:
    """An `ArtifactStore` in one bucket, which is made when it is not there.

    ``endpoint`` is ``host:port``; ``secure`` asks for TLS. Waits are short and retries few, since
    the runtime retries by itself and wants to know soon. ``links`` signs links where clients do
    not reach the server at ``endpoint``.
    """

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        secure: bool,
        region: str,
        links: Signs | None = None,
    ) -> None:
        self.bucket = self._bucket = bucket
        self._region = region
        self._client = Minio(
            endpoint,
            access_key=access_key,
            secret_key=secret_key,
            secure=secure,
            region=region,
            http_client=urllib3.PoolManager(
                maxsize=16,
                timeout=urllib3.Timeout(connect=2.0, read=30.0),
                retries=urllib3.Retry(total=1, backoff_factor=0.1, status_forcelist=(502, 503)),
            ),
        )
        self._links = links or Presigner(self._client, bucket)
        self._lock = Lock()
        self._made = False

    def put(
        self,
        key: str,
        data: bytes | BinaryIO,
        *,
        content_type: str = "application/octet-stream",
    ) -> ArtifactInfo:
        safe_key(key)
        source = _Counted(io.BytesIO(data) if isinstance(data, bytes) else data)
        length = len(data) if isinstance(data, bytes) else -1
        with self._translated(key):
            self._make_bucket()
            result = self._client.put_object(
                self._bucket,
                key,
                source,  # type: ignore[arg-type]  # only read() is asked of it
                length,
                content_type=content_type,
                part_size=PART,
                num_parallel_uploads=1,
            )
        date = result.http_headers.get("Date")
        return ArtifactInfo(
            key=key,
            size=source.count,
            etag=(result.etag or "").strip('"'),
            modified=parsedate_to_datetime(date) if date else datetime.now(UTC),
            content_type=content_type,
        )

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return b"".join(self.stream(key, offset=offset, length=length))

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if length == 0:  # S3 knows no empty range
            self.stat(key)
            return iter(())
        chunks = self._chunks(safe_key(key), offset, length)
        next(chunks)
        return chunks

    def stat(self, key: str) -> ArtifactInfo:
        safe_key(key)
        with self._translated(key):
            self._make_bucket()
            found = self._client.stat_object(self._bucket, key)
        return ArtifactInfo(
            key=key,
            size=found.size or 0,
            etag=(found.etag or "").strip('"'),
            modified=found.last_modified or datetime.fromtimestamp(0, UTC),
            content_type=found.content_type or "application/octet-stream",
        )

    def exists(self, key: str) -> bool:
        try:
            self.stat(key)
        except ArtifactNotFound:
            return False
        return True

    def copy(self, source: str, destination: str) -> None:
        safe_key(source), safe_key(destination)
        if source == destination:  # S3 refuses that
            self.stat(source)
            return
        with self._translated(source):
            self._make_bucket()
            self._client.copy_object(self._bucket, destination, CopySource(self._bucket, source))

    def delete(self, key: str) -> None:
        safe_key(key)
        with suppress(ArtifactNotFound), self._translated(key):
            self._make_bucket()
            self._client.remove_object(self._bucket, key)

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[str]:
        safe_prefix(prefix)
        safe_prefix(after)
        with self._translated(prefix):
            self._make_bucket()
            found = self._client.list_objects(
                self._bucket, prefix=prefix or None, recursive=True, start_after=after or None
            )
            names = (entry.object_name or "" for entry in found)
            return list(islice((name for name in names if not name.startswith(".")), limit))

    def signed_link(self, key: str, *, expires_s: int, method: str = "GET") -> str:
        safe_key(key)
        with self._translated(key):
            return self._links.sign(key, expires_s=expires_s, method=method)

    def check(self) -> None:
        with self._translated(PROBE):
            self._make_bucket()
            self._client.put_object(self._bucket, PROBE, io.BytesIO(b"writable"), 8)

    def announce(self, prefix: str, target: str) -> None:
        """Have the store tell ``target``, an ARN, of each object that is put under ``prefix``.

        Idempotent; the bucket's other notifications stay. Raises `StorageError` where the
        server knows no such target, or the account may not change the bucket.
        """
        wanted = QueueConfig(
            ["s3:ObjectCreated:*"], "lookstream", PrefixFilterRule(prefix), queue=target
        )
        with self._translated(prefix):
            self._make_bucket()
            config = self._client.get_bucket_notification(self._bucket)
            if any(_same(wanted, each) for each in config.queue_config_list):
                return
            config.queue_config_list.append(wanted)
            self._client.set_bucket_notification(self._bucket, config)

    def _make_bucket(self) -> None:
        """Make the bucket the first time; another process may be doing the same."""
        with self._lock:
            if self._made:
                return
            if not self._client.bucket_exists(self._bucket):
                try:
                    self._client.make_bucket(self._bucket, self._region)
                except S3Error as error:
                    if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                        raise
            self._made = True

    def _chunks(self, key: str, offset: int, length: int | None) -> Iterator[bytes]:
        """Ask for the object, yield once for that, then yield its chunks."""
        with self._translated(key):
            self._make_bucket()
            try:
                response = self._client.get_object(self._bucket, key, offset, length or 0)
            except S3Error as error:
                if error.code != "InvalidRange":
                    raise
                yield b""
                return
            try:
                yield b""
                yield from response.stream(CHUNK)
            finally:
                response.close()
                response.release_conn()

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            if error.code in MISSING:
                raise ArtifactNotFound(f"there is no artifact {key}") from error
            if error.code in BAD_KEY:
                raise InvalidKey(f"the artifact store takes no key {key}") from error
            if error.code in BAD_REQUEST:
                raise StorageError(f"the artifact store refused {key}: {error.code}") from error
            self._made = self._made and error.code != "NoSuchBucket"
            raise StoreUnavailable(f"the artifact store failed: {error.code}") from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            reason = type(getattr(error, "reason", None) or error).__name__
            raise StoreUnavailable(f"the artifact store is out of reach: {reason}") from error


def _same(wanted: QueueConfig, known: QueueConfig) -> bool:
    return (wanted.queue, wanted.prefix_filter_rule) == (known.queue, known.prefix_filter_rule)


class _Counted:
    """A file that counts what is read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        return data
