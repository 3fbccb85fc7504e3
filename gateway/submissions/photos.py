"""A photo as it was handed over, checked as far as a gateway can without opening it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO
from urllib.parse import urlsplit

from gateway.http.problems import Problem

LONGEST_URL = 4096


@dataclass(frozen=True)
class Upload:
    """Bytes to be stored: a binary file at its start."""

    file: BinaryIO


@dataclass(frozen=True)
class Remote:
    """A picture on the web, for validation to fetch."""

    url: str


Photo = Upload | Remote


def uploaded(file: BinaryIO, size: int, max_bytes: int) -> Photo:
    """Return an upload of ``size`` bytes. Raises `Problem` when it is empty or too large."""
    if size == 0:
        raise Problem("empty-file", "the file has no bytes in it")
    if size > max_bytes:
        raise Problem("too-large", f"the photo has {size} bytes; {max_bytes} are allowed")
    return Upload(file)


def decoded(text: str, max_bytes: int) -> Photo:
    """Return the upload in ``text``: base64, wrapped or not, or a data URL. Raises `Problem`."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        data = base64.b64decode(text.encode().translate(None, b" \t\r\n"), validate=True)
    except (binascii.Error, ValueError):
        raise Problem("base64-invalid", "image_base64 must be standard base64") from None
    return uploaded(BytesIO(data), len(data), max_bytes)


def remote(url: str) -> Photo:
    """Return a picture on the web. Raises `Problem` for what is not an http(s) URL at all.

    Which hosts may be reached is for validation to decide, which resolves and connects.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Problem("url-invalid", "the address cannot be read as a URL") from None
    if len(url) > LONGEST_URL or any(not char.isprintable() or char.isspace() for char in url):
        raise Problem("url-invalid", f"a URL has at most {LONGEST_URL} visible characters")
    if not parts.scheme:
        raise Problem("url-invalid", "a URL starts with http:// or https://")
    if parts.scheme not in ("http", "https"):
        raise Problem("url-not-allowed", "only http and https URLs are fetched")
    if not host:
        raise Problem("url-invalid", "the URL names no host")
    if "@" in parts.netloc:
        # It would travel in events and show in the job for everyone who may read it.
        raise Problem("url-not-allowed", "a URL with a user name or password is not fetched")
    return Remote(url)
