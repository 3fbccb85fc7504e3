"""The connection to Kafka, and the embedded broker."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from confluent_kafka import KafkaException, Producer

from streams.errors import BrokerUnavailable, InvalidBrokerUrl

_SASL = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True)
class BrokerUrl:
    """Kafka's addresses and security settings. ``bootstrap`` is ``host:port,host:port``."""

    bootstrap: str
    embedded: bool = False
    tls: bool = False
    ca: str | None = None
    sasl: str | None = None
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"BrokerUrl({self.bootstrap!r})"

    @classmethod
    def parse(cls, url: str) -> BrokerUrl:
        """Parse a URL ``kafka://[user:password@]host:port[,host:port][?tls=&ca=&sasl=]``.

        Raises `InvalidBrokerUrl`.
        """
        parts = urlsplit(url)
        if parts.scheme != "kafka" or not parts.netloc:
            raise InvalidBrokerUrl("LOOKSTREAM_KAFKA must be embedded:// or kafka://host:port")
        login, _, hosts = parts.netloc.rpartition("@")
        username, _, password = login.partition(":")
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if unknown := set(query) - {"tls", "ca", "sasl", "embedded"}:
            raise InvalidBrokerUrl(f"unknown option {', '.join(sorted(unknown))}")
        sasl = query.get("sasl", "PLAIN" if username else None)
        if sasl is not None and sasl not in _SASL:
            raise InvalidBrokerUrl(f"sasl must be one of {', '.join(_SASL)}")
        return cls(
            bootstrap=",".join(_with_port(host) for host in hosts.split(",")),
            embedded=query.get("embedded") == "true",
            tls=query.get("tls") == "true",
            ca=query.get("ca"),
            sasl=sasl,
            username=unquote(username) or None,
            password=unquote(password) or None,
        )

    def confluent(self) -> dict[str, str]:
        """Return the connection settings for a confluent-kafka client."""
        protocol = ("SASL_" if self.sasl else "") + ("SSL" if self.tls else "PLAINTEXT")
        config = {"bootstrap.servers": self.bootstrap, "security.protocol": protocol}
        if self.ca:
            config["ssl.ca.location"] = self.ca
        if self.sasl:
            config["sasl.mechanism"] = self.sasl
            config["sasl.username"] = self.username or ""
            config["sasl.password"] = self.password or ""
        return config


def _with_port(host: str) -> str:
    if not host.rpartition("]")[2].count(":"):
        return f"{host}:9092"
    if not host.rpartition(":")[2].isdigit():
        raise InvalidBrokerUrl(f"no port number in {host!r}")
    return host


class EmbeddedBroker:
    """librdkafka's in-process broker: the real protocol on a loopback port, until `close`.

    Keeps about 5 MB a partition, in memory only. Creates topics on demand, with 4 partitions.
    """

    def __init__(self) -> None:
        self._owner: Producer | None = Producer(
            {"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 0}
        )
        self.url = BrokerUrl(_address(self._owner), embedded=True)

    def __str__(self) -> str:
        return f"kafka://{self.url.bootstrap}?embedded=true"

    def close(self) -> None:
        """Stop the broker and lose its records."""
        self._owner = None


def _address(owner: Producer) -> str:
    try:
        brokers = owner.list_topics(timeout=10).brokers.values()
    except KafkaException as error:
        raise BrokerUnavailable(f"the embedded broker did not start: {error}") from error
    return ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
