"""Fetching from a misbehaving server, on loopback addresses that the test permits."""

from __future__ import annotations

import gzip
import shutil
import socket
import ssl
import subprocess
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from agents.inputs.connector import system_resolver
from agents.inputs.fetching import Fetcher, TryLater
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
    assert fetcher.fetch(url, last_modified="Mon, 01 Jan 2024 00:00:00 GMT").data
    headers = [seen for path, seen in server.seen if path == "/picture/conditional"]
    assert [h.get("if-none-match") for h in headers] == ['"one"', '"another"', None]
    assert headers[2]["if-modified-since"] == "Mon, 01 Jan 2024 00:00:00 GMT"


def test_sends_nothing_that_identifies_us(fetcher: Fetcher, server: Misbehaving) -> None:
    assert fetcher.fetch(server.url("/picture/headers")).data
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
        assert later(fetcher, "http://shop.example/a.jpg").refused.code == "url-unreachable"
    finally:
        done.set()


def later(fetcher: Fetcher, url: str) -> TryLater:
    with pytest.raises(TryLater) as told:
        fetcher.fetch(url)
    return told.value


def test_a_server_error_is_tried_twice_and_reported(fetcher: Fetcher, server: Misbehaving) -> None:
    with pytest.raises(Rejected, match="HTTP 500"):
        fetcher.fetch(server.url("/status/500?again"))
    assert [asked for asked, _ in server.seen].count("/status/500?again") == 2


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (408, "url-refused"),
        (425, "url-refused"),
        (429, "url-refused"),
        (502, "url-unreachable"),
        (503, "url-unreachable"),
        (504, "url-unreachable"),
    ],
)
def test_a_busy_server_is_left_alone_at_once(
    fetcher: Fetcher, server: Misbehaving, status: int, code: str
) -> None:
    """The caller waits, because waiting in the fetch would occupy a thread."""
    path = f"/status/{status}?busy"
    told = later(fetcher, server.url(path))
    assert (told.refused.code, told.retry_after_s) == (code, 0.0)
    assert f"HTTP {status}" in told.refused.message
    assert [asked for asked, _ in server.seen].count(path) == 1


def test_retry_after_is_reported(fetcher: Fetcher, server: Misbehaving) -> None:
    """For example, a shop may throttle forty requests at once."""
    assert later(fetcher, server.url("/busy")).retry_after_s == 1.0


IN_AN_HOUR = "a date in an hour"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", (120, 120)),
        ("9" * 400, (999_999, 999_999)),
        ("soon", (0, 0)),
        (IN_AN_HOUR, (3_500, 3_600)),
        ("Mon, 01 Jan 2024 00:00:00 GMT", (0, 0)),
    ],
)
def test_retry_after_is_a_number_or_a_date(
    fetcher: Fetcher, server: Misbehaving, header: str, seconds: tuple[float, float]
) -> None:
    if header == IN_AN_HOUR:
        header = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    server.extra = {"Retry-After": header}
    try:
        told = later(fetcher, server.url("/status/503?asks"))
    finally:
        server.extra = {}
    assert seconds[0] <= told.retry_after_s <= seconds[1]


PICTURE = b"a picture, well compressed " * 1_000


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", gzip.compress(PICTURE)),
        ("X-GZIP", gzip.compress(PICTURE)),
        ("deflate", zlib.compress(PICTURE)),
        ("deflate", zlib.compress(PICTURE)[2:-4]),
        ("identity", PICTURE),
    ],
    ids=["gzip", "x-gzip", "deflate", "raw deflate", "identity"],
)
def test_compressed_responses_are_decompressed(
    fetcher: Fetcher, server: Misbehaving, encoding: str, sent: bytes
) -> None:
    """Some servers compress although the request does not accept it."""
    with answering(server, sent, encoding):
        assert fetcher.fetch(server.url("/picture")).data == PICTURE


@pytest.mark.parametrize(
    ("encoding", "sent", "code"),
    [
        ("gzip", gzip.compress(bytes(1_000_001)), "url-too-large"),
        ("deflate", zlib.compress(bytes(200_000_000)), "url-too-large"),
        ("gzip", gzip.compress(PICTURE)[:-20], "url-unreachable"),
        ("gzip", b"this is no gzip", "url-unreachable"),
        ("br", b"anything", "url-refused"),
        ("gzip, gzip", gzip.compress(gzip.compress(PICTURE)), "url-refused"),
    ],
    ids=["too large", "bomb", "truncated", "broken", "brotli", "twice"],
)
def test_compressed_responses_have_limits(
    fetcher: Fetcher, server: Misbehaving, encoding: str, sent: bytes, code: str
) -> None:
    with answering(server, sent, encoding):
        assert code_of(fetcher, server.url("/picture")) == code


@contextmanager
def answering(server: Misbehaving, body: bytes, encoding: str) -> Iterator[None]:
    before = server.body
    server.body, server.extra = body, {"Content-Encoding": encoding}
    try:
        yield
    finally:
        server.body, server.extra = before, {}


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/picture/red dress.jpg", "/picture/red%20dress.jpg"),
        ("/picture/a%20b c.jpg?size=1 2", "/picture/a%20b%20c.jpg?size=1%202"),
        ("/picture/kléid.jpg ", "/picture/kl%C3%A9id.jpg"),
        ("/to//picture/sent to.jpg", "/picture/sent%20to.jpg"),
    ],
)
def test_spaces_in_a_url_are_encoded(
    fetcher: Fetcher, server: Misbehaving, path: str, asked: str
) -> None:
    assert fetcher.fetch(server.url(path)).data == b"a picture"
    assert server.seen[-1][0] == asked


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
        "http://168.63.129.16/machine",
        "http://[::ffff:168.63.129.16]/",
        "http://100.64.0.1/",
        "http://10.0.0.1/",
        "http://localhost/",
    ],
)
def test_every_notation_of_a_private_address_is_refused(url: str) -> None:
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


def test_a_name_server_that_fails_is_asked_later() -> None:
    def failing(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    told = later(Fetcher(resolve=failing), "http://shop.example/")
    assert told.refused.code == "url-unreachable"


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
