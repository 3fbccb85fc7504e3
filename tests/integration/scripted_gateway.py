"""An HTTP server in place of a gateway: it gives scripted answers or closes the connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Said:
    """One answer. ``cut`` closes the connection after the body. Status 0 sends nothing."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass(frozen=True)
class Heard:
    """One request. The names of its headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


HANG_UP = Said(0, cut=True)


def document(code: int = 200, /, **fields: Any) -> Said:
    """Return a JSON answer with this status."""
    return Said(code, json.dumps(fields).encode(), {"Content-Type": "application/json"})


def busy(status: int = 503, retry_after: str | None = None) -> Said:
    """Return the answer of a gateway whose store is unavailable."""
    problem = {"code": "store-unavailable", "status": status, "detail": "away"}
    headers = {"Content-Type": "application/problem+json"}
    if retry_after is not None:
        headers["Retry-After"] = retry_after
    return Said(status, json.dumps(problem).encode(), headers)


class ScriptedGateway(ThreadingHTTPServer):
    """Gives the answers of ``script`` in order. ``heard`` has the requests."""

    daemon_threads = True

    def __init__(self, *script: Said) -> None:
        super().__init__(("127.0.0.1", 0), _Player)
        self.script = list(script)
        self.heard: list[Heard] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing if a client hangs up."""


@contextmanager
def scripted(*script: Said) -> Iterator[ScriptedGateway]:
    """Serve the script until the block ends."""
    server = ScriptedGateway(*script)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Player(BaseHTTPRequestHandler):
    server: ScriptedGateway
    protocol_version = "HTTP/1.1"

    def _play(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.heard.append(Heard(self.command, self.path, headers, body))
        said = self.server.script.pop(0)
        if said.status:
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            if not said.cut:
                self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)
        self.close_connection = said.cut

    do_GET = do_POST = do_PUT = do_DELETE = _play

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
