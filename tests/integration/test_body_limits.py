"""Large and wrong bodies get a short answer, and the gateway needs little memory for them.

The gateway is a process of its own, because the memory of a process is measured.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from asking import problem
from serving import embedded_broker

from deploy.local.server import free_port
from tests.polling import until

MOST_MB = 150
ALLOWED_JSON = 1_000_000
URL = "https://example.com/a.jpg"


@dataclass(frozen=True)
class Process:
    pid: int
    http: httpx.Client

    def reset_peak(self) -> int:
        """Reset the peak of the resident memory; return the memory now, in MB."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self._memory("VmRSS")

    def peak(self) -> int:
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(name))
        return int(line.split()[1]) // 1000

    def post(self, path: str, body: bytes) -> httpx.Response:
        return self.http.post(path, content=body, headers={"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    home, port = tmp_path_factory.mktemp("gateway"), free_port()
    with embedded_broker() as broker:
        environment = {
            **os.environ,
            "LOOKSTREAM_HOME": str(home),
            "LOOKSTREAM_KAFKA": f"kafka://{broker.bootstrap}?embedded=true",
            "LOOKSTREAM_PORT": str(port),
            "TMPDIR": str(home),
        }
        command = [sys.executable, "-m", "lookstream", "gateway"]
        process = subprocess.Popen(command, env=environment)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                until(lambda: answers(http))
                yield Process(process.pid, http)
        finally:
            process.terminate()
            process.wait(15)


def answers(http: httpx.Client) -> bool:
    try:
        return http.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def many(item: bytes, count: int, before: bytes, after: bytes = b"]}") -> bytes:
    return before + b",".join([item] * count) + after


LIST = b'{"topic":"image-validated","job_ids":['
MATCH = b'{"topic":"image-validated","match":{'
RUN = "/v1/jobs/01a20801-845d-768b-82dd-f448762e99cb/runs"
COSTLY = {
    "URLs of a wrong type": ("/v1/jobs", many(b"1", 1_500_000, b'{"urls":['), 413),
    "one wrong URL": ("/v1/jobs", many(b"1", 40_000, b'{"urls":['), 422),
    "empty URLs": ("/v1/jobs", many(b'""', 49_000, b'{"urls":['), 413),
    "stages": ("/v1/jobs", many(b'"a"', 20_000, b'{"url":"http://a/","stages":['), 422),
    "wrong stages": ("/v1/jobs", many(b"1", 40_000, b'{"url":"http://a/","stages":['), 422),
    "an unknown field": ("/v1/jobs", many(b"[1]", 3_000_000, b'{"url":"http://a/","x":['), 413),
    "a large unknown field": ("/v1/predict", many(b"[]", 340_000, b'{"url":"x","a":['), 413),
    "an allowed field": ("/v1/predict", many(b"[]", 330_000, b'{"url":"x","a":['), 422),
    "stages of a run": (RUN, many(b"1", 490_000, b'{"stages":['), 422),
    "job ids": ("/v1/replays", many(b"1", 490_000, LIST), 422),
    "fields": (
        "/v1/replays",
        MATCH + b",".join(b'"%d":[]' % n for n in range(90_000)) + b"}}",
        422,
    ),
    "metadata": (
        "/v1/uploads/01a20801-845d-768b-82dd-f448762e99cb/complete",
        many(b"[1]", 240_000, b'{"metadata":{"a":[', b"]}}"),
        422,
    ),
}


@pytest.mark.parametrize(("path", "body", "status"), COSTLY.values(), ids=COSTLY.keys())
def test_a_body_that_costs_much_is_refused_cheaply(
    gateway: Process, path: str, body: bytes, status: int
) -> None:
    before = gateway.reset_peak()
    try:
        answer = gateway.post(path, body)
    except httpx.WriteError:  # refused before the end of the body
        answer = None
    if answer is not None:
        assert answer.status_code == status, answer.text[:200]
        assert len(answer.content) < 8_000
        assert len(answer.json().get("errors", ())) <= 20
    assert gateway.peak() - before < MOST_MB


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/replays", "/v1/uploads", RUN])
def test_only_submissions_may_be_larger_than_a_megabyte(gateway: Process, path: str) -> None:
    assert problem(gateway.post(path, b" " * (ALLOWED_JSON + 1))) == (413, "too-large")
    chunked = httpx.Request(
        "POST",
        gateway.http.base_url.join(path),
        content=iter([b" " * 400_000] * 3),
        headers={"Content-Type": "application/json"},
    )
    assert problem(gateway.http.send(chunked)) == (413, "too-large")


def test_long_lists_of_urls_are_accepted(gateway: Process) -> None:
    urls = [f"https://example.com/{'a' * 4_000}/{number}.jpg" for number in range(2_000)]
    answer = gateway.post("/v1/jobs", json.dumps({"urls": urls}).encode())
    assert answer.status_code == 202
    assert len(answer.json()["jobs"]) == 2_000
    answer = gateway.post("/v1/jobs", json.dumps({"urls": [*urls, URL]}).encode())
    assert problem(answer) == (413, "too-many-photos")


def test_large_photos_as_base64_need_little_memory(gateway: Process) -> None:
    photo = bytes(number * 31 % 256 for number in range(1_000)) * 20_000
    body = b'{"image_base64": "' + base64.b64encode(photo) + b'"}'
    before = gateway.reset_peak()
    with ThreadPoolExecutor(8) as pool:
        statuses = [
            each.status_code for each in pool.map(gateway.post, ["/v1/jobs"] * 8, [body] * 8)
        ]
    assert statuses == [202] * 8
    assert gateway.peak() - before < MOST_MB


def test_many_files_in_one_form_need_little_memory(gateway: Process) -> None:
    files = [("files", (f"{number}.jpg", bytes(990_000))) for number in range(300)]
    before = gateway.reset_peak()
    answer = gateway.http.post("/v1/jobs", files=files)
    assert answer.status_code == 202
    assert len(answer.json()["jobs"]) == 300
    assert gateway.peak() - before < MOST_MB


def test_unfinished_large_bodies_share_the_memory(gateway: Process) -> None:
    head = (
        b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 9000000\r\n\r\n"
    )
    before = gateway.reset_peak()
    parts = urlsplit(str(gateway.http.base_url))
    with ExitStack() as stack:
        waiting = []
        for _ in range(12):
            connection = stack.enter_context(socket.create_connection((parts.hostname, parts.port)))
            connection.sendall(head + b'{"urls": ["' + b"a" * 8_900_000)
            waiting.append(connection)
        busy = until(lambda: next(filter(None, map(received, waiting)), b""))
        assert busy.startswith(b"HTTP/1.1 503")
        assert b"\r\nretry-after: " in busy.lower()
        small = gateway.post("/v1/jobs", json.dumps({"url": URL}).encode())
        assert small.status_code == 202
        assert gateway.peak() - before < MOST_MB
    # After the other clients have left, there is memory again.
    large = json.dumps({"url": URL, "unknown": "a" * 9_000_000}).encode()
    until(lambda: gateway.post("/v1/jobs", large).status_code == 202)


def received(connection: socket.socket) -> bytes:
    connection.setblocking(False)
    try:
        return connection.recv(65536)
    except BlockingIOError:
        return b""


def test_a_file_that_is_named_in_the_extended_syntax_is_a_file(gateway: Process) -> None:
    body = (
        b"--B\r\nContent-Disposition: form-data; name=\"files\"; filename*=UTF-8''s%C3%BC%22.jpg"
        b"\r\n\r\na photo\r\n--B--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    answer = gateway.http.post("/v1/jobs", content=body, headers=headers)
    assert answer.status_code == 202
    assert len(answer.json()["jobs"]) == 1
