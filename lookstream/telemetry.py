"""Where traces go: by OTLP over HTTP to the address that is set; without one, nowhere, and
OpenTelemetry's SDK is not even loaded.

As JSON, which OpenTelemetry's Collector takes on the same port: mediapipe holds protobuf at a
version that the exporter of the binary form has left behind.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from opentelemetry.trace import NoOpTracerProvider, Tracer, TracerProvider
from structlog.typing import Processor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as KeptTraces


# Logs: one line an event, JSON where nobody watches, coloured text on a terminal.
NOISY = (
    "faust",
    "aiokafka",
    "mode",
    "librdkafka",
    "httpx",
    "httpcore",
    "absl",
    "uvicorn.error",
    "opentelemetry",
)

SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure(level: str = "info", form: str = "auto") -> None:
    """Set up structlog and the standard library's logging. ``form`` is json, text or auto."""
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    endings = _text() if as_text else _json()
    threshold = logging.getLevelName(level.upper())
    structlog.configure(
        processors=[*SHARED, *endings],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_libraries(endings)], force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(threshold, logging.ERROR))


def _libraries(endings: list[Processor]) -> logging.Handler:
    """Return the handler of lines that come by the standard library's logging."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*SHARED, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *endings],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    return handler


def _text() -> list[Processor]:
    # Prettier tracebacks would show local variables, and secrets among them.
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


STANDARD = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXPORT_S = 3.0
LAST_EXPORT_S = 2.0


@dataclass(frozen=True)
class Telemetry:
    """A process's traces. ``provider`` is one that keeps nothing where tracing is off."""

    provider: TracerProvider = field(default_factory=NoOpTracerProvider)
    kept: KeptTraces | None = None

    @property
    def tracer(self) -> Tracer:
        return self.provider.get_tracer("lookstream", version("lookstream"))

    def close(self) -> None:
        """Send what is left, for at most `LAST_EXPORT_S`: a collector that is away holds no end."""
        if self.kept is None:
            return
        last = threading.Thread(target=self.kept.shutdown, name="last-traces", daemon=True)
        last.start()
        last.join(LAST_EXPORT_S)


def open_telemetry(address: str, service: str) -> Telemetry:
    """Return a process's traces, which go to the collector at ``address``, such as
    ``http://127.0.0.1:4318``; when it is empty, where OpenTelemetry's own variables say."""
    if not address and not any(map(os.environ.get, STANDARD)):
        return Telemetry()

    from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider as KeptTraces
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    facts = {"service.namespace": "lookstream", "service.version": version("lookstream")}
    named = {"service.name": service} if "OTEL_SERVICE_NAME" not in os.environ else {}
    exporter = OTLPSpanExporter(
        endpoint=f"{address.rstrip('/')}/v1/traces" if address else None, timeout=EXPORT_S
    )
    kept = KeptTraces(resource=Resource.create({**facts, **named}), shutdown_on_exit=False)
    kept.add_span_processor(BatchSpanProcessor(exporter))
    return Telemetry(kept, kept)
