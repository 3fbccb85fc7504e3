"""A worker's HTTP server: liveness, readiness and metrics."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

Readiness = Callable[[], Mapping[str, str]]


class HealthServer:
    """Serves ``/health/live``, ``/health/ready`` and ``/metrics`` from its own thread.

    ``readiness`` returns a reason for each stage that is not ready; empty means ready. ``facts``
    are further fields of ``/health/ready``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        readiness: Readiness,
        registry: CollectorRegistry,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = answer(self.path, readiness, registry, facts)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing: probes come every few seconds."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(
    path: str,
    readiness: Readiness,
    registry: CollectorRegistry,
    facts: Mapping[str, object] | None = None,
) -> tuple[int, str, bytes]:
    """Return the status, content type and body of one path."""
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
    if path == "/health/live":
        return 200, "application/json", b'{"status": "live"}'
    if path == "/health/ready":
        reasons = dict(readiness())
        status = "not-ready" if reasons else "ready"
        body = {"status": status, "stages": reasons, **(facts or {})}
        return (503 if reasons else 200), "application/json", json.dumps(body).encode()
    return 404, "application/json", b'{"status": "not-found"}'
