"""A trace collector: an HTTP server that receives OTLP as JSON and stores the spans."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Span:
    """A span from OTLP. Ids are hexadecimal; ``parent`` is empty for a root span."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    service: str
    began: int
    ended: int
    failed: bool
    facts: dict[str, Any]


class Collector:
    """Listens on loopback until `close`; ``url`` is a value for `LOOKSTREAM_OTLP`."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        spans = self._spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                right = self.path == "/v1/traces"
                if right:
                    spans.extend(spans_in(json.loads(body)))
                self.send_response(200 if right else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def trace(self, trace_id: str) -> list[Span]:
        """Return the received spans of a trace, by start time."""
        found = [span for span in list(self._spans) if span.trace == trace_id]
        return sorted(found, key=lambda span: span.began)

    def of_job(self, job_id: str) -> list[Span]:
        """Return the spans of a job."""
        return [span for span in list(self._spans) if span.facts.get("lookstream.job_id") == job_id]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def spans_in(request: dict[str, Any]) -> Iterable[Span]:
    """Read an ExportTraceServiceRequest in OTLP's JSON. Source: OpenTelemetry protocol 1.x."""
    for resource in request["resourceSpans"]:
        service = _facts(resource["resource"])["service.name"]
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield Span(
                    trace=span["traceId"],
                    id=span["spanId"],
                    parent=span.get("parentSpanId", ""),
                    name=span["name"],
                    kind=KINDS[int(span["kind"])],
                    service=service,
                    began=int(span["startTimeUnixNano"]),
                    ended=int(span["endTimeUnixNano"]),
                    failed=span.get("status", {}).get("code") == 2,
                    facts=_facts(span),
                )


KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


def _facts(holder: dict[str, Any]) -> dict[str, Any]:
    return {
        each["key"]: next(iter(each["value"].values())) for each in holder.get("attributes", ())
    }


def drawn(spans: Iterable[Span]) -> str:
    """Return a trace as text: parents, start times and durations."""
    spans = list(spans)
    start = min(span.began for span in spans)

    def lines(parent: str, depth: int) -> Iterable[str]:
        for span in spans:
            if span.parent == parent:
                name = "  " * depth + span.name
                at, took = (span.began - start) / 1e6, (span.ended - span.began) / 1e6
                yield f"{name:<32}{span.service:<20}{at:8.1f} ms {took:8.1f} ms"
                yield from lines(span.id, depth + 1)

    known = {span.id for span in spans}
    roots = dict.fromkeys(span.parent for span in spans if span.parent not in known)
    return "\n".join(line for root in roots for line in lines(root, 0))
