"""Open the artifact store or the job store that a URL names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner, Signer
from storage.artifacts.store import ArtifactStore
from storage.errors import InvalidStoreUrl
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import JobStore

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def open_artifacts(url: str, signer: LinkSigner) -> ArtifactStore:
    """Return the store of ``file:///dir`` or ``s3://key:secret@host:9000/bucket?secure=&region=``.

    ``secure`` (default true) turns TLS on. The option ``links`` is the target of signed links: an
    address of the server that clients can reach (``https://…``), or ``gateway``. Without the
    option, signed links lead to ``host:9000``. Does not connect. Raises `InvalidStoreUrl`.
    """
    parts = _split(url)
    if parts.scheme == "file":
        _options(parts, url, ())
        return DirectoryArtifacts(_path(parts, url), signer)
    if parts.scheme == "s3":
        return _minio(parts, url, signer)
    raise InvalidStoreUrl(f"{redact(url)!r} is not an artifact store: write file:///… or s3://…")


def open_jobs(url: str) -> JobStore:
    """Return the store of ``sqlite:///file`` or ``mongodb://host/database`` (``mongodb+srv``).

    Does not connect. Raises `InvalidStoreUrl`.
    """
    parts = _split(url)
    if parts.scheme == "sqlite":
        _options(parts, url, ())
        return SqliteJobs(_path(parts, url))
    if parts.scheme in ("mongodb", "mongodb+srv"):
        return _mongo(parts, url)
    raise InvalidStoreUrl(f"{redact(url)!r} is not a job store: write sqlite:///… or mongodb://…")


def redact(url: str) -> str:
    """Return ``url`` without user name, password and query, for logs."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "…" if "@" in url else url.partition("?")[0]
    authority, slash, path = rest.partition("/")
    if "@" in path:  # the password contains a slash that is not encoded
        authority, slash, path = rest.rpartition("@")[2], "", ""
    host = authority.rpartition("@")[2]
    hidden = "…@" if "@" in rest else ""
    return f"{scheme}://{hidden}{host}{slash}{path}".partition("?")[0]


def _minio(parts: SplitResult, url: str, signer: LinkSigner) -> ArtifactStore:
    from storage.artifacts.s3 import (
        MinioArtifacts,  # imported only for S3, since minio loads slowly
    )

    options = _options(parts, url, ("secure", "region", "links"))
    secure = BOOLEANS.get(options.get("secure", "true").lower())
    bucket = parts.path.strip("/")
    endpoint = parts.netloc.rpartition("@")[2]
    if not (parts.hostname and parts.username and parts.password):
        raise InvalidStoreUrl(f"{redact(url)!r} needs s3://key:secret@host:port/bucket")
    if secure is None or not BUCKET.fullmatch(bucket):
        raise InvalidStoreUrl(f"{redact(url)!r} needs one bucket, and secure=true or false")
    key, secret = unquote(parts.username), unquote(parts.password)
    region = options.get("region", "us-east-1")
    try:
        links = _links(options.get("links", ""), signer, (key, secret, region, bucket))
        return MinioArtifacts(endpoint, key, secret, bucket, secure, region, links)
    except ValueError as error:
        raise InvalidStoreUrl(f"{redact(url)!r} has no valid host") from error


def _links(where: str, signer: LinkSigner, account: tuple[str, str, str, str]) -> Signer | None:
    """Return the signer for the option ``links``; None without the option."""
    from minio import Minio

    from storage.artifacts.s3 import S3Presigner

    if where in ("", "gateway"):
        return signer if where else None
    key, secret, region, bucket = account
    public = urlsplit(where)
    if public.scheme not in ("http", "https") or public.path.strip("/"):
        raise InvalidStoreUrl("links=… is gateway, or http(s)://host:port without a path")
    client = Minio(
        public.netloc,
        access_key=key,
        secret_key=secret,
        secure=public.scheme == "https",
        region=region,
    )
    return S3Presigner(client, bucket, secret)


def _mongo(parts: SplitResult, url: str) -> JobStore:
    from pymongo.errors import PyMongoError  # only for MongoDB: importing pymongo takes 0.2 s
    from pymongo.uri_parser import parse_uri

    from storage.jobs.mongo.store import MongoJobs

    try:
        if parts.scheme == "mongodb":  # parsing mongodb+srv:// would query DNS
            parse_uri(url)
    except (PyMongoError, ValueError):
        raise InvalidStoreUrl(f"{redact(url)!r} is not a MongoDB URL") from None
    return MongoJobs(url)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError for a bad port
    except ValueError:
        if url.startswith("mongodb"):  # pymongo parses lists of hosts
            return SplitResult(url.partition(":")[0], "", "", "", "")
        raise InvalidStoreUrl(
            f"{redact(url)!r} is not a URL"
        ) from None  # the cause would quote the URL
    return parts


def _path(parts: SplitResult, url: str) -> Path:
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.path == "/":
        raise InvalidStoreUrl(f"{redact(url)!r} needs three slashes and an absolute path")
    return Path(unquote(parts.path))


def _options(parts: SplitResult, url: str, known: tuple[str, ...]) -> Mapping[str, str]:
    options = dict(parse_qsl(parts.query))
    if unknown := sorted(set(options) - set(known)):
        raise InvalidStoreUrl(f"{redact(url)!r} has unknown options: {', '.join(unknown)}")
    return options
