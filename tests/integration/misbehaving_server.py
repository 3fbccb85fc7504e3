"""An HTTP server on a loopback address, with the faults of foreign servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Misbehaving(ThreadingHTTPServer):
    """Answers by path; ``seen`` has the path and the headers of every request, and
    ``extra`` has headers for every answer."""

    daemon_threads = True

    def __init__(self, host: str) -> None:
        super().__init__((host, 0), _Answers)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.body = b"a picture"
        self.etag = '"one"'
        self.extra: dict[str, str] = {}
        self.busy_since = 0.0
        self.closing = threading.Event()

    def url(self, path: str, host: str | None = None) -> str:
        address, port = self.server_address[:2]
        return f"http://{host or str(address)}:{port}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing if a client hangs up."""


class _Answers(BaseHTTPRequestHandler):
    server: Misbehaving
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        kind, _, rest = self.path.lstrip("/").partition("/")
        getattr(self, f"_{kind}")(rest)

    def _picture(self, _: str) -> None:
        if self.headers.get("If-None-Match") == self.server.etag:
            self._head(304, ETag=self.server.etag)
            return
        self._head(
            200,
            ETag=self.server.etag,
            Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT",
            Content_Length=str(len(self.server.body)),
        )
        self.wfile.write(self.server.body)

    def _status(self, code: str) -> None:
        self._head(int(code.partition("?")[0]), Content_Length="0")

    def _busy(self, _: str) -> None:
        """Answer 429, and the picture if the first request was a second ago."""
        now, before = time.monotonic(), self.server.busy_since
        self.server.busy_since = before or now
        if before and now - before >= 1.0:
            self._picture("")
        else:
            self._head(429, Retry_After="1", Content_Length="0")

    def _to(self, location: str) -> None:
        self._head(302, Location=location, Content_Length="0")

    def _loop(self, _: str) -> None:
        self._head(302, Location="/loop", Content_Length="0")

    def _claims(self, size: str) -> None:
        self._head(200, Content_Length=size)

    def _pours(self, _: str) -> None:
        self._head(200)
        while not self.server.closing.is_set():
            self.wfile.write(bytes(65_536))

    def _drips(self, _: str) -> None:
        self._head(200)
        while not self.server.closing.wait(0.02):
            self.wfile.write(b"x")
            self.wfile.flush()

    def _dripping_headers(self, _: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.server.closing.wait(0.02):
            self.wfile.write(b"X-More: and more\r\n")
            self.wfile.flush()

    def _hangs(self, _: str) -> None:
        self.server.closing.wait(30)

    def _cut(self, _: str) -> None:
        self._head(200, Content_Length="1000")
        self.wfile.write(b"only this")

    def _garbage(self, _: str) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        self.close_connection = True

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, **self.server.extra}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Misbehaving]:
    """Serve on a free port of ``host`` until the block ends."""
    server = Misbehaving(host)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
