"""The addresses that an untrusted URL may reach."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from agents.inputs.connector import permitted


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "192.0.0.192",
        "192.88.99.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "2001::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2002:c0a8:101::1",
        "not-an-address",
        "",
    ],
)
def test_non_public_addresses_are_refused(address: str) -> None:
    assert not permitted(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public_addresses_are_permitted(address: str) -> None:
    assert permitted(address)


def test_permits_the_networks_that_are_allowed_and_no_others() -> None:
    allowed = [ip_network("127.0.0.2/32"), ip_network("fd00::/8")]
    assert permitted("127.0.0.2", allowed)
    assert permitted("::ffff:127.0.0.2", allowed)
    assert permitted("fd00::1", allowed)
    assert not permitted("127.0.0.1", allowed)
    assert not permitted("10.0.0.1", allowed)
