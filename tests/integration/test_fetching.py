"""Fetching from a misbehaving server, on loopback addresses that the test permits."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from agents.inputs.connector import system_resolver
from agents.inputs.fetching import Fetcher
from agents.stages.errors import Rejected
from tests.integration.misbehaving_server import Misbehaving, serving

LOOPBACK = [ip_network("127.0.0.0/8")]


@pytest.fixture(scope="module")
def server() -> Iterator[Misbehaving]:
    with serving() as server:
        yield server


@pytest.fixture
def fetcher() -> Fetcher:
    return Fetcher(allowed_networks=LOOPBACK, max_bytes=1_000_000, timeout_s=5)


def code_of(fetcher: Fetcher, url: str) -> str:
    with pytest.raises(Rejected) as refused:
        fetcher.fetch(url)
    assert refused.value.message
    return refused.value.code


def test_returns_content_and_validators(fetcher: Fetcher, server: Misbehaving) -> None:
    fetched = fetcher.fetch(server.url("/picture"))
    assert fetched.data == b"a picture"
    assert fetched.etag == '"one"'
    assert fetched.last_modified == "Mon, 01 Jan 2024 00:00:00 GMT"


def test_asks_conditionally(fetcher: Fetcher, server: Misbehaving) -> None:
    url = server.url("/picture/conditional")
    assert fetcher.fetch(url, etag='"one"').data is None
    assert fetcher.fetch(url, etag='"another"').data == b"a picture"
    fetcher.fetch(url, last_modified="Mon, 01 Jan 2024 00:00:00 GMT")
    headers = [seen for path, seen in server.seen if path == "/picture/conditional"]
    assert [h.get("if-none-match") for h in headers] == ['"one"', '"another"', None]
    assert headers[2]["if-modified-since"] == "Mon, 01 Jan 2024 00:00:00 GMT"


def test_sends_nothing_that_identifies_us(fetcher: Fetcher, server: Misbehaving) -> None:
    fetcher.fetch(server.url("/picture/headers"))
    headers = next(seen for path, seen in server.seen if path == "/picture/headers")
    assert set(headers) <= {"host", "user-agent", "accept", "accept-encoding"}
    assert headers["host"] == server.url("").removeprefix("http://")


def test_ignores_proxies_of_the_environment(
    fetcher: Fetcher, server: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetcher.fetch(server.url("/picture")).data == b"a picture"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/status/404", "url-not-found"),
        ("/status/410", "url-not-found"),
        ("/status/401", "url-refused"),
        ("/status/403", "url-refused"),
        ("/status/429", "url-refused"),
        ("/status/500", "url-unreachable"),
        ("/status/204", "url-refused"),
        ("/garbage", "url-unreachable"),
        ("/cut", "url-unreachable"),
        ("/loop", "url-too-many-redirects"),
        ("/claims/1000001", "url-too-large"),
        ("/claims/9999999999999999999", "url-too-large"),
        ("/pours", "url-too-large"),
        ("/to/file:///etc/passwd", "url-not-allowed"),
        ("/to/ftp://127.0.0.1/x", "url-not-allowed"),
        ("/to/http://user:word@127.0.0.1/x", "url-not-allowed"),
        ("/to/http://[", "url-invalid"),
    ],
)
def test_each_failure_has_its_code(
    fetcher: Fetcher, server: Misbehaving, path: str, code: str
) -> None:
    assert code_of(fetcher, server.url(path)) == code


@pytest.mark.parametrize("path", ["/drips", "/dripping_headers", "/hangs"])
def test_an_endless_response_ends_at_the_deadline(server: Misbehaving, path: str) -> None:
    hurried = Fetcher(allowed_networks=LOOPBACK, timeout_s=0.3)
    assert code_of(hurried, server.url(path)) == "url-timeout"


def test_an_endless_look_up_ends_at_the_deadline() -> None:
    done = threading.Event()

    def stuck(host: str, port: int) -> Sequence[str]:
        done.wait(30)
        return []

    try:
        fetcher = Fetcher(timeout_s=0.2, resolve=stuck)
        assert code_of(fetcher, "http://shop.example/a.jpg") == "url-timeout"
    finally:
        done.set()


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_temporary_failures_are_tried_twice(
    fetcher: Fetcher, server: Misbehaving, status: int
) -> None:
    path = f"/status/{status}?again"
    code_of(fetcher, server.url(path))
    assert [asked for asked, _ in server.seen].count(path) == 2


def test_retry_after_is_respected(fetcher: Fetcher, server: Misbehaving) -> None:
    """For example, a shop may throttle forty requests at once."""
    assert fetcher.fetch(server.url("/busy")).data == b"a picture"


@pytest.mark.parametrize(
    "url",
    ["", "photo.jpg", "//127.0.0.1/x", "http://", "http:///x", "http://a b/", "http://[::1", "http://x:99999/"],
)  # fmt: skip
def test_refuses_invalid_urls(fetcher: Fetcher, url: str) -> None:
    assert code_of(fetcher, url) in ("url-invalid", "url-not-allowed")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/x",
        "gopher://127.0.0.1/",
        "data:image/png;base64,AAAA",
        "http://user:word@93.184.215.14/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.64.0.1/",
        "http://10.0.0.1/",
        "http://localhost/",
    ],
)
def test_refuses_every_way_to_say_a_private_address(url: str) -> None:
    assert code_of(Fetcher(timeout_s=5), url) in ("url-not-allowed", "url-invalid")


def test_a_redirect_to_another_loopback_address_is_refused() -> None:
    with serving("127.0.0.2") as allowed, serving("127.0.0.1") as forbidden:
        fetcher = Fetcher(allowed_networks=[ip_network("127.0.0.2/32")], timeout_s=5)
        assert fetcher.fetch(allowed.url("/picture")).data == b"a picture"
        assert code_of(fetcher, allowed.url("/to/" + forbidden.url("/picture"))) == (
            "url-not-allowed"
        )
        assert not forbidden.seen


def test_a_redirect_to_an_allowed_address_is_followed(
    fetcher: Fetcher, server: Misbehaving
) -> None:
    assert fetcher.fetch(server.url("/to//picture")).data == b"a picture"


def test_dns_rebinding_cannot_change_the_address(server: Misbehaving) -> None:
    """The name is resolved once for each connection, and the checked address is used."""
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    asked: list[str] = []

    def changing(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked) - 1, 1)]

    fetcher = Fetcher(allowed_networks=LOOPBACK, timeout_s=5, resolve=changing)
    assert fetcher.fetch(server.url("/picture", "shop.example")).data == b"a picture"
    assert asked == ["shop.example"]
    headers = server.seen[-1][1]
    assert headers["host"].startswith("shop.example:")
    assert code_of(fetcher, server.url("/picture", "shop.example")) == "url-not-allowed"


def test_of_several_addresses_only_the_permitted_are_tried(server: Misbehaving) -> None:
    fetcher = Fetcher(
        allowed_networks=LOOPBACK,
        timeout_s=5,
        resolve=lambda host, port: ["10.0.0.1", "fe80::1", "127.0.0.1"],
    )
    assert fetcher.fetch(server.url("/picture", "shop.example")).data == b"a picture"


def test_an_unknown_host_is_unreachable() -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    assert code_of(Fetcher(resolve=unknown), "http://shop.example/") == "url-unreachable"


def test_a_closed_port_is_unreachable(fetcher: Fetcher) -> None:
    with serving() as gone:
        url = gone.url("/picture")
    assert code_of(fetcher, url) == "url-unreachable"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not there to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, cert


def secured(server: Misbehaving, key: Path, cert: Path) -> list[str | None]:
    """Add TLS to ``server``; return the list of server names that clients send (SNI)."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def note(_: Any, name: str | None, __: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = note
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return names


def test_tls_is_for_the_name_and_not_for_the_address(certificate: tuple[Path, Path]) -> None:
    trusting = ssl.create_default_context(cafile=certificate[1])
    with serving() as server:
        names = secured(server, *certificate)
        fetcher = Fetcher(
            allowed_networks=LOOPBACK,
            timeout_s=5,
            resolve=lambda host, port: ["127.0.0.1"],
            ssl_context=trusting,
        )
        good = server.url("/picture", "shop.example").replace("http:", "https:")
        wrong = server.url("/picture", "other.example").replace("http:", "https:")
        assert fetcher.fetch(good).data == b"a picture"
        assert names == ["shop.example"]
        assert code_of(fetcher, wrong) == "url-unreachable"
        distrustful = Fetcher(
            allowed_networks=LOOPBACK, timeout_s=5, resolve=lambda host, port: ["127.0.0.1"]
        )
        assert code_of(distrustful, good) == "url-unreachable"


def test_the_system_resolver_gives_addresses() -> None:
    assert "127.0.0.1" in system_resolver("127.0.0.1", 80)
