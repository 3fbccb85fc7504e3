"""``LOOKSTREAM_KAFKA`` gives the settings of Kafka clients."""

from __future__ import annotations

import pytest

from streams.broker.connection import BrokerUrl
from streams.errors import InvalidBrokerUrl


@pytest.mark.parametrize(
    ("url", "bootstrap"),
    [
        ("kafka://kafka", "kafka:9092"),
        ("kafka://kafka:19092", "kafka:19092"),
        ("kafka://a,b:1,c", "a:9092,b:1,c:9092"),
        ("kafka://[::1]:9093", "[::1]:9093"),
        ("kafka://[::1]", "[::1]:9092"),
    ],
)
def test_hosts_have_ports(url: str, bootstrap: str) -> None:
    assert BrokerUrl.parse(url).confluent() == {
        "bootstrap.servers": bootstrap,
        "security.protocol": "PLAINTEXT",
    }


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("kafka://h?tls=true", "SSL"),
        ("kafka://u:p@h", "SASL_PLAINTEXT"),
        ("kafka://u:p@h?tls=true", "SASL_SSL"),
    ],
)
def test_the_protocol_follows(url: str, protocol: str) -> None:
    assert BrokerUrl.parse(url).confluent()["security.protocol"] == protocol


def test_everything_at_once() -> None:
    url = BrokerUrl.parse("kafka://me:p%40ss@h:1?tls=true&ca=/etc/ca.pem&sasl=SCRAM-SHA-512")
    assert url.confluent() == {
        "bootstrap.servers": "h:1",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "/etc/ca.pem",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "p@ss",
    }


def test_a_login_alone_is_plain() -> None:
    assert BrokerUrl.parse("kafka://me:secret@h").sasl == "PLAIN"


def test_the_embedded_broker_is_recognised() -> None:
    assert BrokerUrl.parse("kafka://127.0.0.1:5?embedded=true").embedded
    assert not BrokerUrl.parse("kafka://127.0.0.1:5").embedded


def test_no_secret_is_shown() -> None:
    assert repr(BrokerUrl.parse("kafka://me:secret@h:1")) == "BrokerUrl('h:1')"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "embedded:// or kafka://"),
        ("embedded://", "embedded:// or kafka://"),
        ("http://kafka:9092", "embedded:// or kafka://"),
        ("kafka://", "embedded:// or kafka://"),
        ("kafka://h?acks=1", "unknown option acks"),
        ("kafka://u:p@h?sasl=GSSAPI", "sasl must be one of"),
        ("kafka://h:port", "no port number in 'h:port'"),
    ],
)
def test_an_invalid_url_is_refused_with_a_reason(url: str, why: str) -> None:
    with pytest.raises(InvalidBrokerUrl, match=why):
        BrokerUrl.parse(url)
