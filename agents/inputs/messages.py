"""Messages between a child process and its parent: JSON and bytes, never pickles."""

from __future__ import annotations

import io
import json
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

_HEADER = struct.Struct("!I")
_PIECE = 1 << 18
MAX_BYTES, MAX_JSON = 500_000_000, 1_000_000
"""Limits of a child's answer in bytes, in total and for its JSON. Parsed JSON needs many times its
size, and a child that a photo has taken over must not exhaust the parent's memory."""

Message = tuple[dict[str, Any], list[bytes]]
"""A JSON object and any number of byte strings."""


def send(to: socket.socket, header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Write one message: the length of the JSON, the JSON with the blobs' sizes, the blobs."""
    text = json.dumps({**header, "sizes": [len(blob) for blob in blobs]}).encode()
    to.sendall(_HEADER.pack(len(text)) + text)
    for blob in blobs:
        to.sendall(blob)


def receive(
    source: socket.socket, deadline: float | None = None, max_bytes: int | None = None
) -> Message:
    """Read one message of at most ``max_bytes`` bytes.

    Raises `EOFError` at the end and for a larger message, `TimeoutError` after ``deadline``
    (seconds of `time.monotonic`), and ValueError, KeyError, TypeError or AttributeError for a
    malformed message.
    """
    (length,) = _HEADER.unpack(_read(source, _HEADER.size, deadline))
    if max_bytes is not None and length > MAX_JSON:
        raise EOFError(f"the message's JSON has more than {MAX_JSON:,} bytes")
    header: dict[str, Any] = json.loads(_read(source, length, deadline))
    sizes = header.pop("sizes")
    _check(sizes, max_bytes)
    return header, [_read(source, size, deadline) for size in sizes]


def _check(sizes: Sequence[Any], max_bytes: int | None) -> None:
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise EOFError("the message has no valid sizes")
    if max_bytes is not None and sum(sizes) > max_bytes:
        raise EOFError(f"the message has more than {max_bytes:,} bytes")


def _read(source: socket.socket, size: int, deadline: float | None) -> bytes:
    """Return the next ``size`` bytes. Makes no second copy in memory: a photo may have 50 MB."""
    data, left = io.BytesIO(), size
    while left:
        if deadline is not None:
            source.settimeout(max(deadline - time.monotonic(), 0.001))
        piece = source.recv(min(left, _PIECE))
        if not piece:
            raise EOFError
        left -= data.write(piece)
    return data.getvalue()
