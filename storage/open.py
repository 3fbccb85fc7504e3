"""Which adapter a URL names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from storage.artifacts import ArtifactStore
from storage.directory import DirectoryArtifacts
from storage.errors import InvalidStoreUrl
from storage.jobs import JobStore
from storage.signing import LinkSigner
from storage.sqlite import SqliteJobs

TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def open_artifacts(url: str, signer: LinkSigner) -> ArtifactStore:
    """Return the store of ``file:///dir`` or ``s3://key:secret@host:9000/bucket?secure=&region=``.

    ``secure`` (default true) asks for TLS. Nothing is connected to yet. Raises `InvalidStoreUrl`.
    """
    parts = _split(url)
    if parts.scheme == "file":
        _options(parts, url, ())
        return DirectoryArtifacts(_path(parts, url), signer)
    if parts.scheme == "s3":
        return _minio(parts, url)
    raise InvalidStoreUrl(f"{redact(url)!r} is no artifact store: write file:///… or s3://…")


def open_jobs(url: str) -> JobStore:
    """Return the store of ``sqlite:///file`` or ``mongodb://host/database`` (``mongodb+srv``).

    Nothing is connected to yet. Raises `InvalidStoreUrl`.
    """
    parts = _split(url)
    if parts.scheme == "sqlite":
        _options(parts, url, ())
        return SqliteJobs(_path(parts, url))
    if parts.scheme in ("mongodb", "mongodb+srv"):
        from storage.mongo import MongoJobs  # pymongo takes 0.2 s, which the default can do without

        return MongoJobs(url)
    raise InvalidStoreUrl(f"{redact(url)!r} is no job store: write sqlite:///… or mongodb://…")


def redact(url: str) -> str:
    """Return ``url`` without name, password and query, fit for logs."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "…" if "@" in url else url.partition("?")[0]
    authority, slash, path = rest.partition("/")
    if "@" in path:  # a password with a slash in it, not encoded
        authority, slash, path = rest.rpartition("@")[2], "", ""
    host = authority.rpartition("@")[2]
    hidden = "…@" if "@" in rest else ""
    return f"{scheme}://{hidden}{host}{slash}{path}".partition("?")[0]


def _minio(parts: SplitResult, url: str) -> ArtifactStore:
    from storage.minio import MinioArtifacts  # not needed where a directory serves

    options = _options(parts, url, ("secure", "region"))
    secure = TRUTH.get(options.get("secure", "true").lower())
    bucket = parts.path.strip("/")
    if not (parts.hostname and parts.username and parts.password):
        raise InvalidStoreUrl(f"{redact(url)!r} needs s3://key:secret@host:port/bucket")
    if secure is None or not bucket or "/" in bucket:
        raise InvalidStoreUrl(f"{redact(url)!r} needs one bucket, and secure=true or false")
    return MinioArtifacts(
        endpoint=parts.netloc.rpartition("@")[2],
        access_key=unquote(parts.username),
        secret_key=unquote(parts.password),
        bucket=bucket,
        secure=secure,
        region=options.get("region", "us-east-1"),
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read late, and only then refused
    except ValueError as error:
        if url.startswith("mongodb"):  # a list of hosts: pymongo reads those
            return SplitResult(url.partition(":")[0], "", "", "", "")
        raise InvalidStoreUrl(f"{redact(url)!r} is not a URL") from error
    return parts


def _path(parts: SplitResult, url: str) -> Path:
    if parts.netloc not in ("", "localhost") or not parts.path.strip("/"):
        raise InvalidStoreUrl(f"{redact(url)!r} needs three slashes and an absolute path")
    return Path(unquote(parts.path))


def _options(parts: SplitResult, url: str, known: tuple[str, ...]) -> Mapping[str, str]:
    options = dict(parse_qsl(parts.query))
    if unknown := sorted(set(options) - set(known)):
        raise InvalidStoreUrl(f"{redact(url)!r} has unknown options: {', '.join(unknown)}")
    return options
