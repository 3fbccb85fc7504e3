"""The gateway limits heads, slow clients and idle connections."""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from asking import client
from serving import Serving, embedded_broker, serving

from gateway.http.connections import ConnectionLimits
from gateway.server import raise_file_limit
from tests.polling import until

LIMITS = ConnectionLimits(connections=20, head_s=0.6, body_s=1.5, body_rate=10.0)
GET = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = b"y" * 1_000_000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    root = tmp_path_factory.mktemp("limits")
    with embedded_broker() as broker, serving(root, broker, connections=LIMITS) as running:
        yield running


def connect(gateway: Serving) -> socket.socket:
    parts = urlsplit(gateway.url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=10)
    connection.settimeout(20)
    return connection


def answer(connection: socket.socket, *sent: bytes) -> tuple[int, str]:
    """Send everything, also after a refusal; return status and problem code of the answer."""
    received = b""
    with connection:
        try:
            for piece in sent:
                connection.sendall(piece)
        except OSError:
            pass  # the gateway has closed the connection
        try:
            while piece := connection.recv(65536):
                received += piece
                if received.endswith(b"}"):
                    break
        except ConnectionResetError:
            pass
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body).get("code", "") if body else ""


def test_a_normal_head_is_accepted(gateway: Serving) -> None:
    large = GET + b"X-A: " + b"y" * 60_000 + b"\r\n\r\n"
    assert answer(connect(gateway), large) == (200, "")


@pytest.mark.parametrize(
    "sent",
    [
        (GET + b"X-A: " + b"y" * 70_000 + b"\r\n\r\n",),
        (GET, *[b"X-A: " + b"y" * 3_000 + b"\r\n"] * 30, b"\r\n"),
        (GET + b"X-A: ", *[b"y" * 10_000] * 12),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",),
        (CHUNKED + b"2\r\n{}\r\n0\r\n", *[b"X-A: " + b"y" * 3_000 + b"\r\n"] * 30),
        (CHUNKED + b"2\r\n{}\r\n0\r\nX-A: ", *[b"y" * 10_000] * 12),
        (CHUNKED + b"2;", *[b"y" * 10_000] * 12),
    ],
    ids=["one header", "many", "endless", "address", "trailers", "endless trailer", "extension"],
)
def test_a_large_head_is_refused(gateway: Serving, sent: tuple[bytes, ...]) -> None:
    assert answer(connect(gateway), *sent) == (431, "head-too-large")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n",
        GET + b"X-A: ",
        POST + b'Content-Length: 100\r\n\r\n{"url": "',
        POST + b"Content-Length: 100\r\n\r\n",
    ],
    ids=["nothing", "empty line", "half a head", "half a body", "no body"],
)
def test_a_request_that_never_ends_is_cut(gateway: Serving, sent: bytes) -> None:
    assert answer(connect(gateway), sent) == (408, "request-timeout")


def test_a_later_request_of_a_connection_is_cut_too(gateway: Serving) -> None:
    connection = connect(gateway)
    connection.sendall(GET + b"\r\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert answer(connection, GET) == (408, "request-timeout")


def test_a_slow_body_that_keeps_its_pace_is_accepted(gateway: Serving) -> None:
    body = b'{"url": "ftp://example.com/dress.jpg"}' + b" " * 62
    connection = connect(gateway)
    connection.sendall(POST + b"Content-Length: 100\r\n\r\n")
    for start in range(0, 100, 20):
        pause_ends = time.monotonic() + LIMITS.body_s / 4
        until(lambda ends=pause_ends: time.monotonic() > ends)  # type: ignore[misc]
        connection.sendall(body[start : start + 20])
    assert answer(connection) == (422, "url-not-allowed")


def test_a_body_after_the_answer_is_cut(gateway: Serving) -> None:
    connection = connect(gateway)
    connection.sendall(POST + b"Sec-Fetch-Site: cross-site\r\nContent-Length: 99000000\r\n\r\n")
    received = connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 403")
    with connection, pytest.raises((ConnectionResetError, BrokenPipeError)):
        connection.sendall(40 * MEGABYTE)


def test_idle_connections_do_not_keep_a_client_out(gateway: Serving) -> None:
    with ExitStack() as stack:
        for _ in range(3 * LIMITS.connections):
            stack.enter_context(connect(gateway))
        with client(gateway) as http:
            assert http.get("/health/live").status_code == 200


def test_beyond_the_limit_of_used_connections_the_gateway_says_busy(gateway: Serving) -> None:
    follow = b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(LIMITS.connections):
            connection = stack.enter_context(connect(gateway))
            connection.sendall(follow)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        with connect(gateway) as refused:
            received = b"".join(iter(lambda: refused.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 503")
    assert b"\r\nRetry-After: " in received
    assert b'"code":"busy"' in received


def test_the_file_limit_is_raised_and_limits_the_connections() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        assert raise_file_limit(LIMITS) == LIMITS
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    many = replace(LIMITS, connections=before[1])
    assert raise_file_limit(many).connections < before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_client_that_leaves_during_its_body_is_no_error(
    gateway: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(gateway) as connection:
        connection.sendall(POST + b"Content-Length: 100\r\n\r\n{")
    with client(gateway) as http:
        assert http.get("/health/live").status_code == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
