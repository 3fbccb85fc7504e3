"""A load generator that uses little CPU: it sends prebuilt requests on persistent connections.

The generator and the server share the machine's cores.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

BOUNDARY = "lookstream-benchmark"


@dataclass(frozen=True)
class Load:
    """The result of a run: ``rate`` in requests/s, and ``seconds``, each request's duration."""

    rate: float
    seconds: tuple[float, ...]

    def p99(self) -> float:
        return sorted(self.seconds)[min(len(self.seconds) - 1, len(self.seconds) * 99 // 100)]


def upload(url: str, photo: bytes) -> bytes:
    """Return a complete HTTP request that uploads ``photo`` as multipart form data."""
    address = urlsplit(url)
    form = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode()
    body = form + photo + f"\r\n--{BOUNDARY}--\r\n".encode()
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    return head + body


def run(url: str, request: bytes, *, clients: int, requests: int) -> Load:
    """Send ``request`` ``requests`` times over ``clients`` concurrent connections.

    Raises `RuntimeError` on any status except 2xx.
    """
    return asyncio.run(_run(url, request, clients, requests))


async def _run(url: str, request: bytes, clients: int, requests: int) -> Load:
    left = iter(range(requests))
    seconds: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(_client(url, request, left, seconds) for _ in range(clients)))
    return Load(requests / (time.perf_counter() - began), tuple(seconds))


async def _client(url: str, request: bytes, left: Iterator[int], seconds: list[float]) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for _ in left:
        began = time.perf_counter()
        writer.write(request)
        await writer.drain()
        await _answer(reader)
        seconds.append(time.perf_counter() - began)
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = head.split(" ", 2)[1]
    length = int(head.partition("content-length:")[2].split("\r\n", 1)[0])
    body = await reader.readexactly(length)
    if not status.startswith("2"):
        raise RuntimeError(f"answered {status}: {body[:300]!r}")
