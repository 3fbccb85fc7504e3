"""Decompresses the chunks of an HTTP response, a limited number of bytes at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from agents.stages.errors import Rejected

CHUNK = 256 * 1024
"""Largest number of bytes that one step returns, whatever the compression ratio."""
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def decompressed(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the content of ``chunks`` in pieces of at most `CHUNK` bytes.

    ``encoding`` is the header Content-Encoding: gzip, deflate (with or without zlib's header) or
    none. Raises `Rejected`: ``url-refused`` for another encoding, ``url-unreachable`` for broken
    or truncated data.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return iter(chunks)
    if name not in ("gzip", "x-gzip", "deflate"):
        raise Rejected(
            "url-refused", "The server compressed the photo in an unknown way.", encoding[:100]
        )
    return _inflated(chunks, gzip=name != "deflate")


def _inflated(chunks: Iterable[bytes], *, gzip: bool) -> Iterator[bytes]:
    inflate = None
    try:
        for chunk in chunks:
            if inflate is None and chunk:
                inflate = zlib.decompressobj(_GZIP if gzip else _deflate_format(chunk))
            while inflate is not None and chunk and not inflate.eof:
                yield inflate.decompress(chunk, CHUNK)
                chunk = inflate.unconsumed_tail
        if inflate is not None:
            yield inflate.flush()  # at most the rest of one match, 258 bytes
    except zlib.error as error:
        raise Rejected("url-unreachable", "The photo's compression is broken.") from error
    if inflate is not None and not inflate.eof:
        raise Rejected("url-unreachable", "The compressed photo is incomplete.")


def _deflate_format(start: bytes) -> int:
    """Return zlib's number of the format: RFC 9110 asks for zlib, some servers send raw deflate."""
    return _ZLIB if start[0] & 0x0F == 8 and start[0] >> 4 <= 7 else _RAW
