"""Parse a single byte range (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.http.problems import Problem

_SINGLE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


@dataclass(frozen=True)
class ByteRange:
    """``length`` bytes (at least 1) from ``offset``, all inside the object."""

    offset: int
    length: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Return the requested range of an object of ``size`` bytes, or None for the whole object.

    A header that is no single range is ignored, as the RFC allows. Raises `Problem` if the range
    lies outside the object.
    """
    match = _SINGLE.fullmatch((header or "").strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        start, end = size - length, size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size or end < start:
        raise Problem(
            "range-not-satisfiable",
            f"the artifact has {size} bytes",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return ByteRange(start, end - start + 1)
