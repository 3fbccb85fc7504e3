"""Connects to a host name at an address that was checked first, before a deadline.

httpcore uses the URL's host name for SNI and for the certificate check. Only this connector
resolves the name, so that a second look-up cannot return another address (DNS rebinding).
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from queue import Empty, SimpleQueue
from typing import Any

import httpcore

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
_NEVER = tuple(
    IPv6Network(text)
    for text in (
        "64:ff9b:1::/48",  # RFC 8215, NAT64 for local use
        "fec0::/10",  # site-local, deprecated
        "2001::/23",  # Teredo and other protocol assignments
        "2001:db8::/32",
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing (RFC 9602)
        "100::/64",  # discard
        "::/96",  # IPv4-compatible, deprecated
    )
) + tuple(
    IPv4Network(text)
    for text in (
        "192.88.99.0/24",
        "192.0.0.0/24",
        # Azure's metadata and DNS server: a public address that answers inside a cloud only.
        "168.63.129.16/32",
    )
)


def permitted(text: str, allowed: Sequence[Network] = ()) -> bool:
    """Tell whether ``text`` is an IP address that is public or in one of the ``allowed`` networks.

    An IPv4 address inside an IPv6 address (mapped, 6to4, NAT64) is checked as the IPv4 address.
    Public means globally reachable in IANA's special-purpose registries, without multicast and
    reserved addresses.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    inner = _inner(address)
    if any(inner in network or address in network for network in allowed):
        return True
    return _is_public(inner)


def _inner(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    if any(address in network for network in _NEVER):
        return False
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
    )


Resolve = Callable[[str, int], Sequence[str]]
"""Maps host and port to IP addresses. Raises `OSError` (`socket.gaierror`) for an unknown host."""


class HostNotResolved(httpcore.ConnectError):
    """The host name cannot be resolved. ``temporary`` is true if the name server did not answer,
    and false if the host is unknown."""

    def __init__(self, message: str, *, temporary: bool) -> None:
        super().__init__(message)
        self.temporary = temporary


class AddressNotAllowed(Exception):
    """The host has no permitted address."""


def system_resolver(host: str, port: int) -> list[str]:
    """Resolve by the operating system, like other clients: ``0x7f.1`` becomes 127.0.0.1."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Deadline:
    """The time at which a whole request, with all its retries, must be finished."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the remaining seconds. Raises `httpcore.TimeoutException` after the deadline."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException("the request exceeded its time limit")
        return left


class PinnedConnector(httpcore.NetworkBackend):
    """Opens TCP connections to permitted addresses only, before one deadline."""

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
        """Resolve once, check, connect to a checked address. Raises `AddressNotAllowed`."""
        addresses = [a for a in self._look_up(host, port) if permitted(a, self._allowed)]
        if not addresses:
            raise AddressNotAllowed(host)
        for address in addresses[:-1]:
            try:  # keep half of the time for the other addresses
                return self._connect(address, port, self._deadline.left() / 2)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(addresses[-1], port, self._deadline.left())

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Refuse: a URL never leads to a UNIX socket."""
        raise AddressNotAllowed("unix socket")

    def sleep(self, seconds: float) -> None:
        """Not needed: the pool does not retry."""
        raise NotImplementedError

    def _connect(self, address: str, port: int, timeout: float) -> httpcore.NetworkStream:
        stream = self._plain.connect_tcp(address, port, timeout=timeout)
        return _DeadlineStream(stream, self._deadline)

    def _look_up(self, host: str, port: int) -> Sequence[str]:
        """Resolve in a new thread, because getaddrinfo has no time limit."""
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
            raise HostNotResolved("no answer from the name server", temporary=True) from None
        if isinstance(answer, Exception):
            temporary = getattr(answer, "errno", None) == socket.EAI_AGAIN
            raise HostNotResolved(str(answer), temporary=temporary) from answer
        return answer


class _DeadlineStream(httpcore.NetworkStream):
    """A stream whose waits end at the deadline, even when a server sends a byte now and then."""

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
