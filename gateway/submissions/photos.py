"""Submitted photos, with the checks that need no decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urlsplit

from gateway.http.problems import Problem
from streams.events.filenames import clean_filename

LONGEST_URL = 4096


@dataclass(frozen=True)
class Upload:
    """A photo's bytes: a binary file, positioned at its start. ``filename`` is the client's."""

    file: BinaryIO
    filename: str | None = None


@dataclass(frozen=True)
class Remote:
    """A photo at a URL. A worker downloads it (`agents.downloads`)."""

    url: str


Photo = Upload | Remote


def uploaded(file: BinaryIO, size: int, max_bytes: int, filename: str | None = None) -> Photo:
    """Return an upload of ``size`` bytes. Raises `Problem` if it is empty or too large."""
    if size == 0:
        raise Problem("empty-file", "the file is empty")
    if size > max_bytes:
        raise Problem("too-large", f"the photo has {size} bytes; {max_bytes} are allowed")
    return Upload(file, clean_filename(filename or ""))


def remote(url: str) -> Photo:
    """Return a photo at a URL. Raises `Problem` if ``url`` is no http(s) URL.

    The worker that downloads the photo decides which addresses are allowed, because it resolves the
    host name.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Problem("url-invalid", "this is not a URL") from None
    if len(url) > LONGEST_URL or any(not char.isprintable() or char.isspace() for char in url):
        raise Problem("url-invalid", f"a URL has at most {LONGEST_URL} visible characters")
    if not parts.scheme:
        raise Problem("url-invalid", "a URL starts with http:// or https://")
    if parts.scheme not in ("http", "https"):
        raise Problem("url-not-allowed", "only http and https URLs are fetched")
    if not host:
        raise Problem("url-invalid", "the URL names no host")
    if "@" in parts.netloc:
        # Events and the job would show the password to every reader.
        raise Problem("url-not-allowed", "a URL with a user name or password is not fetched")
    return Remote(url)
