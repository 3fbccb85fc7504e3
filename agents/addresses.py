"""Which network addresses a stranger's URL may reach."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

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
) + tuple(IPv4Network(text) for text in ("192.88.99.0/24", "192.0.0.0/24"))


def permitted(text: str, allowed: Sequence[Network] = ()) -> bool:
    """Tell whether ``text``, an IP address, is public or in one of the ``allowed`` networks.

    An IPv4 address inside an IPv6 one (mapped, 6to4, NAT64) is judged as what it leads to.
    Public is what IANA's special-purpose registries call globally reachable, less multicast
    and what is reserved. Text that is no address is not permitted.
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
