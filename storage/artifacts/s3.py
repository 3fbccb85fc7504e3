"""The artifact store in a bucket of MinIO or another server with the S3 protocol."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice
from threading import Lock
from typing import BinaryIO

import urllib3
from minio import Minio
from minio.commonconfig import REPLACE, CopySource
from minio.error import MinioException, S3Error
from minio.notificationconfig import PrefixFilterRule, QueueConfig

from storage.artifacts.keys import safe_key, safe_prefix
from storage.artifacts.links import MAX_EXPIRY_S, METHODS, Signer, content_disposition
from storage.artifacts.sized_links import with_size
from storage.artifacts.store import CHUNK, ArtifactInfo
from storage.errors import ArtifactNotFound, InvalidKey, StorageError, StorageFull, StoreUnavailable

PART = 5 * 1024 * 1024  # bytes of an upload in memory: the smallest part that S3 accepts
READ_S = 15.0
"""A store that sends nothing for this time (seconds) is unavailable. This time must be far below a
stage's time limit, so that a store that hangs does not look like a time-out of the stage. This
module does not repeat reads: callers retry."""
PROBE = ".lookstream/probe"  # no key starts with a dot

MISSING = frozenset({"NoSuchKey", "NoSuchObject"})
BAD_KEY = frozenset({"KeyTooLongError", "XMinioInvalidObjectName", "XMinioObjectExistsAsDirectory"})
FULL = frozenset({"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage"})
BAD_REQUEST = frozenset({"EntityTooLarge", "InvalidArgument", "InvalidRequest"})


class MinioArtifacts:
    """An `ArtifactStore` in one bucket, which is created if it does not exist.

    ``endpoint`` is ``host:port``; ``secure`` turns TLS on. Time-outs are short and there is at most
    one retry, because callers retry. ``links`` signs the links for clients; None signs links to
    ``endpoint``.
    """

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        secure: bool,
        region: str,
        links: Signer | None = None,
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
                timeout=urllib3.Timeout(connect=2.0, read=READ_S),
                retries=urllib3.Retry(
                    total=1, read=0, backoff_factor=0.1, status_forcelist=(502, 503)
                ),
            ),
        )
        self._links = links or S3Presigner(self._client, bucket, secret_key)
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
                source,  # type: ignore[arg-type]  # minio calls read() only
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
        data = io.BytesIO()  # joining a list of the chunks would need twice the memory
        for chunk in self.stream(key, offset=offset, length=length):
            data.write(chunk)
        return data.getvalue()

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if length == 0:  # S3 has no empty range
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

    def copy(self, source: str, destination: str, *, content_type: str | None = None) -> None:
        safe_key(source), safe_key(destination)
        if source == destination and content_type is None:  # S3 refuses such a copy
            self.stat(source)
            return
        with self._translated(source):
            self._make_bucket()
            self._client.copy_object(
                self._bucket,
                destination,
                CopySource(self._bucket, source),
                metadata={"Content-Type": content_type} if content_type else None,
                metadata_directive=REPLACE if content_type else None,
            )

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

    def signed_link(
        self, key: str, *, expires_s: int, method: str = "GET", size: int | None = None
    ) -> str:
        safe_key(key)
        with self._translated(key):
            return self._links.sign(key, expires_s=expires_s, method=method, size=size)

    def check(self) -> None:
        with self._translated(PROBE):
            self._make_bucket()
            self._client.put_object(self._bucket, PROBE, io.BytesIO(b"writable"), 8)

    def add_notification(self, prefix: str, target: str) -> None:
        """Make the server notify ``target`` (an ARN) of each object that is put under ``prefix``.

        Idempotent; keeps the bucket's other notifications. Raises `StorageError` if the server has
        no such target, and `StoreUnavailable` if the account may not change the bucket.
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
        """Create the bucket on first use; another process may create it at the same time."""
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
        """Open the object, yield once so that errors surface at once, then yield its chunks."""
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
                raise InvalidKey(f"the artifact store does not accept the key {key}") from error
            if error.code in BAD_REQUEST:
                raise StorageError(f"the artifact store refused {key}: {error.code}") from error
            if error.code in FULL:
                raise StorageFull(f"the artifact store is full: {error.code}") from error
            self._made = self._made and error.code != "NoSuchBucket"
            raise StoreUnavailable(f"the artifact store failed: {error.code}") from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            reason = type(getattr(error, "reason", None) or error).__name__
            raise StoreUnavailable(f"the artifact store is unavailable: {reason}") from error


def _same(wanted: QueueConfig, known: QueueConfig) -> bool:
    return (wanted.queue, wanted.prefix_filter_rule) == (known.queue, known.prefix_filter_rule)


class _Counted:
    """A file that counts the bytes read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        return data


class S3Presigner:
    """Signs links to the address of ``client``. Sends no request to the server."""

    def __init__(self, client: Minio, bucket: str, secret_key: str) -> None:
        self._client = client
        self._bucket = bucket
        self._secret_key = secret_key

    def sign(
        self,
        key: str,
        *,
        expires_s: int,
        method: str = "GET",
        size: int | None = None,
        filename: str = "",
    ) -> str:
        """Return a URL that is valid for at least ``expires_s`` seconds (1 to 604,800).

        The start of the validity is rounded down, so that repeated links to an object are equal and
        cacheable. A PUT link with ``size`` accepts a body of exactly ``size`` bytes. Browsers save
        the object as ``filename``. Raises ValueError for another time or method.
        """
        if not 1 <= expires_s <= MAX_EXPIRY_S or method not in METHODS:
            raise ValueError(f"a link is for GET or PUT and 1 to {MAX_EXPIRY_S} seconds")
        step = max(0, min(expires_s // 8, MAX_EXPIRY_S - expires_s))
        now = int(time.time())
        date = datetime.fromtimestamp(now - now % step if step else now, UTC)
        life = timedelta(seconds=expires_s + step)
        headers: dict[str, str | list[str] | tuple[str]] = {}
        if filename:
            headers["response-content-disposition"] = content_disposition(filename)
        link = self._client.get_presigned_url(
            method,
            self._bucket,
            key,
            expires=life,
            request_date=date,
            response_headers=headers,
        )
        return link if size is None or method != "PUT" else with_size(link, size, self._secret_key)
