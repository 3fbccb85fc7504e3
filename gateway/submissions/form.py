"""Parse a form with files. Few bytes of the files stay in memory; the others go to the disk."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import unquote_to_bytes

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from gateway.http.limits import MemoryShare
from gateway.http.problems import Problem

MAX_FIELDS = 100
LARGEST_FIELD = 128 * 1024
"""Bytes of one field. 16 kB of metadata have at most 96 kB if every character is escaped."""
IN_MEMORY = 1024 * 1024
FILES_IN_MEMORY = 4
"""A request keeps this many files of at most `IN_MEMORY` bytes in memory."""
ON_DISK = 1  # 0 would mean: always in memory


class PhotoFormParser(MultiPartParser):
    """Starlette's parser. It also accepts files that are named only by ``filename*`` (RFC 5987), as
    some clients send them."""

    def __init__(
        self, headers: Headers, stream: AsyncGenerator[bytes, None], files: int, memory: MemoryShare
    ) -> None:
        super().__init__(
            headers,
            stream,
            max_files=files,
            max_fields=MAX_FIELDS,
            max_part_size=LARGEST_FIELD,
        )
        self._memory = memory

    def on_headers_finished(self) -> None:
        part = self._current_part
        part.content_disposition = _with_filename(part.content_disposition or b"")
        memory = self._current_files < FILES_IN_MEMORY and self._memory.may_take(IN_MEMORY)
        self.spool_max_size = IN_MEMORY if memory else ON_DISK
        super().on_headers_finished()


async def read_form(request: Request, files: int, memory: MemoryShare) -> FormData:
    """Return the form in the body; the caller closes it. Raises `Problem`."""
    async with aclosing(request.stream()) as stream:
        parser = PhotoFormParser(request.headers, stream, files, memory)
        try:
            return await parser.parse()
        except MultiPartException as error:
            code = "too-many-photos" if "Too many files" in error.message else "malformed-body"
            raise Problem(code, error.message) from None


def _with_filename(disposition: bytes) -> bytes:
    """Add the parameter ``filename`` if there is only ``filename*``."""
    if (
        b"filename*" not in disposition.lower()
        or b"filename" in parse_options_header(disposition)[1]
    ):
        return disposition
    for parameter in disposition.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"filename*":
            charset, _, text = value.strip().strip(b'"').partition(b"'")
            decoded = unquote_to_bytes(text.partition(b"'")[2])
            if charset.lower() == b"iso-8859-1":
                decoded = decoded.decode("latin-1").encode()
            return disposition + b'; filename="' + _quotable(decoded) + b'"'
    return disposition


def _quotable(name: bytes) -> bytes:
    return bytes(byte for byte in name if byte >= 32 and byte not in b'"\\\x7f') or b"photo"
