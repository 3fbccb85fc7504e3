"""Connecting to a host by name, to the very address that was checked, before a deadline.

httpcore keeps the host's name for the Host header, for TLS's SNI and for checking the
certificate; only this backend sees addresses, so that a second look-up cannot lead elsewhere.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

import httpcore

from agents.addresses import Network, permitted

Resolve = Callable[[str, int], Sequence[str]]
"""A host and a port to IP addresses. Raises OSError (socket.gaierror) for an unknown host."""


class AddressNotAllowed(Exception):
    """The host has no address that may be reached."""


def system_resolver(host: str, port: int) -> list[str]:
    """Ask the operating system, as it would be asked by any client (so 0x7f.1 is 127.0.0.1)."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Deadline:
    """A point in time by which all of something must have happened."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left. Raises `httpcore.TimeoutException` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException("the time for the whole request is over")
        return left


class CheckedBackend(httpcore.NetworkBackend):
    """Opens TCP connections to permitted addresses only, everything before one deadline."""

    def __init__(self, resolve: Resolve, allowed: Sequence[Network], deadline: Deadline) -> None:
        self._resolve = resolve
        self._allowed = allowed
        self._deadline = deadline
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve once, check, connect to what was checked. Raises `AddressNotAllowed`."""
        addresses = [a for a in self._look_up(host, port) if permitted(a, self._allowed)]
        if not addresses:
            raise AddressNotAllowed(host)
        for address in addresses[:-1]:
            try:  # half of the time is kept for the other addresses
                return self._connect(address, port, self._deadline.left() / 2)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(addresses[-1], port, self._deadline.left())

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Never: a URL names a host."""
        raise AddressNotAllowed("unix socket")

    def sleep(self, seconds: float) -> None:
        """Never asked for: the pool does not retry."""
        raise NotImplementedError

    def _connect(self, address: str, port: int, timeout: float) -> httpcore.NetworkStream:
        stream = self._plain.connect_tcp(address, port, timeout=timeout)
        return _DeadlineStream(stream, self._deadline)

    def _look_up(self, host: str, port: int) -> Sequence[str]:
        """Resolve in a thread of its own: getaddrinfo knows no time limit."""
        answers: SimpleQueue[Sequence[str] | Exception] = SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        threading.Thread(target=ask, daemon=True, name="look-up").start()
        try:
            answer = answers.get(timeout=self._deadline.left())
        except Empty:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from None
        if isinstance(answer, Exception):
            raise httpcore.ConnectError(str(answer)) from answer
        return answer


class _DeadlineStream(httpcore.NetworkStream):
    """A stream whose every wait ends at the deadline: a server that drips for ever does not."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left())
        return _DeadlineStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
