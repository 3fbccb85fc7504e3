"""A web server for submitted URLs: pictures, a redirect, and responses without an end."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.2"
CHUNK = b"\xff\xd8\xff\xe0" + b"x" * 65_532


class Website:
    """Serves at ``url``. ``answers`` counts the responses by path and status.

    ``/inward`` redirects to 127.0.0.1. ``/flood`` sends without end, ``/drip`` too, but slowly.
    Paths that begin with ``/hang`` never answer. Paths that begin with ``/busy`` answer 503 once.
    Every other path serves the content from `put`, or answers 404.
    """

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = server.server_address[1]
        self.url = f"http://{HOST}:{self.port}"
        self.answers: Counter[tuple[str, int]] = Counter()
        self.closing = threading.Event()
        self._pages: dict[str, bytes] = {}

    def put(self, path: str, content: bytes) -> str:
        """Serve ``content`` at ``path`` and return its URL."""
        self._pages[path] = content
        return self.url + path

    def asked_before(self, path: str) -> bool:
        """Tell whether the path has answered before."""
        return any(answered == path for answered, _ in self.answers)

    def find(self, path: str) -> bytes | None:
        return self._pages.get(path)

    @classmethod
    @contextmanager
    def serving(cls) -> Iterator[Website]:
        """Serve until the block ends."""
        server = ThreadingHTTPServer((HOST, 0), _Handler)
        server.daemon_threads = True
        site = server.site = cls(server)  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield site
        finally:
            site.closing.set()
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: Website

    def do_GET(self) -> None:
        self.site = self.server.site  # type: ignore[attr-defined]
        try:
            match self.path:
                case "/inward":
                    target = f"http://127.0.0.1:{self.site.port}/inside.jpg"
                    self._answer(302, {"Location": target})
                case "/flood":
                    self._endless(pause_s=0)
                case "/drip":
                    self._endless(pause_s=0.05)
                case path if path.startswith("/hang"):
                    self.site.closing.wait(60)
                case path if path.startswith("/busy") and not self.site.asked_before(path):
                    self._answer(503, {"Retry-After": "1"})
                case _:
                    self._page()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client closed the connection

    def _page(self) -> None:
        content = self.site.find(self.path)
        if content is None:
            return self._answer(404, {})
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == etag:
            return self._answer(304, {"ETag": etag})
        return self._answer(200, {"ETag": etag, "Content-Type": "image/jpeg"}, content)

    def _answer(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
        self.site.answers[self.path, status] += 1
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _endless(self, pause_s: float) -> None:
        self.site.answers[self.path, 200] += 1
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        while not self.site.closing.wait(pause_s):
            self.wfile.write(CHUNK[:100] if pause_s else CHUNK)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
