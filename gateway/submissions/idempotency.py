"""Recognise repeated requests: by their idempotency key and a fingerprint of their content.

Job ids are derived from the key and the time of the first request. So a repetition after a crash
makes the same jobs, each once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import BinaryIO
from uuid import UUID

from fastapi import Request

from gateway.http.problems import Problem
from gateway.submissions.body import Submission
from gateway.submissions.photos import Photo, Upload
from storage.jobs.store import IdempotencyRecord, JobStore

KEPT = timedelta(hours=24)
CHUNK = 256 * 1024
SEPARATOR = "\x1f"  # in no key
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True)
class Key:
    """An idempotency key and its sender. Equal keys of different senders are different keys."""

    text: str
    sender: str


def checked_key(header: str | None, request: Request) -> Key | None:
    """Return the key of an `Idempotency-Key` header. Raises `Problem` if it is not valid."""
    if header is None:
        return None
    if _KEY.fullmatch(header):
        return Key(header, sender(request))
    message = "1 to 255 printable ASCII characters"
    where = "header.Idempotency-Key"
    raise Problem(
        "invalid-request", f"{where}: {message}", errors=[{"where": where, "message": message}]
    )


def sender(request: Request) -> str:
    """Return who has sent a request: the client's address, or the network of an IPv6 address.

    uvicorn takes the address from ``X-Forwarded-For`` if the connection comes from a proxy in
    ``FORWARDED_ALLOW_IPS``.
    """
    text = request.client.host if request.client else ""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return "local"
    # A machine changes its IPv6 address within a network.
    return str(address if address.version == 4 else ip_network((address, 64), strict=False))


async def claim(
    jobs: JobStore, key: Key, content: str, now: datetime
) -> tuple[IdempotencyRecord, bool]:
    """Return the record of the first request with this key, and whether it is an earlier request.

    ``content`` is the request's fingerprint. Raises `Problem` if the first request with this key
    had another fingerprint.
    """
    # Version 0.1 stored keys without a sender.
    earlier = await jobs.idempotency_record(key.text)
    if earlier and earlier.fingerprint == content and earlier.at >= now - KEPT:
        return earlier, True
    asked = IdempotencyRecord(f"{key.sender}{SEPARATOR}{key.text}", content, now)
    kept = await jobs.claim_idempotency_key(asked, expired=now - KEPT)
    if kept.fingerprint != asked.fingerprint:
        raise Problem("idempotency-conflict", "use a new key for a new request")
    return kept, kept != asked


def fingerprint(submission: Submission) -> str:
    """Return a hash of the options and of each file's bytes or URL, in order.

    Reads files in chunks and rewinds them.
    """
    options = submission.options
    fields = options.model_dump(include={"group", "metadata", "lane", "force"})
    asked = json.dumps([options.names, fields], sort_keys=True)
    digest = hashlib.sha256(asked.encode())
    for photo in submission.photos:
        digest.update(_photo(photo))
    return digest.hexdigest()


def job_id(key: str, at: datetime, index: int) -> str:
    """Return the UUIDv7 of the photo at ``index``: the time in ms, and bits of a hash.

    Source: RFC 9562, section 5.7, with hash bits instead of random bits.
    """
    instant = round(at.timestamp() * 1000)
    made_of = json.dumps([key, instant, index]).encode()
    bits = int.from_bytes(hashlib.sha256(made_of).digest()[:10], "big")
    value = (instant << 80) | bits
    value = value & ~(0xF << 76) | (7 << 76)
    return str(UUID(int=value & ~(0b11 << 62) | (0b10 << 62)))


def _photo(photo: Photo | Problem) -> bytes:
    if isinstance(photo, Problem):
        kind, text = b"problem", f"{photo.code} {photo.detail}"
    elif isinstance(photo, Upload):
        return hashlib.sha256(b"file" + _digest(photo.file)).digest()
    else:
        kind, text = b"url", photo.url
    return hashlib.sha256(kind + text.encode(errors="surrogatepass")).digest()


def _digest(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    for chunk in _chunks(file):
        digest.update(chunk)
    file.seek(0)
    return digest.digest()


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
