"""Configures logs (`configure`) and traces (`open_telemetry`) of a process.

A log event is one line with a constant snake_case name and fields: JSON, or text on a terminal.
Traces are sent as OTLP JSON over HTTP. Without a collector, the OpenTelemetry SDK is not imported.
The protobuf exporter cannot be used: mediapipe needs an older protobuf version.
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
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider


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
    """Configure structlog and the standard library's logging. ``form`` is json, text or auto."""
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
    """Return the handler for libraries that use the standard library's logging."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*SHARED, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *endings],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    return handler


def _text() -> list[Processor]:
    # Rich tracebacks would show local variables, which may hold secrets.
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXPORT_S = 3.0
LAST_EXPORT_S = 2.0


@dataclass(frozen=True)
class Telemetry:
    """A process's traces. Without a collector ``provider`` records nothing."""

    provider: TracerProvider = field(default_factory=NoOpTracerProvider)
    sdk: SdkTracerProvider | None = None

    @property
    def tracer(self) -> Tracer:
        return self.provider.get_tracer("lookstream", version("lookstream"))

    def close(self) -> None:
        """Send the remaining spans; give up after `LAST_EXPORT_S`."""
        if self.sdk is None:
            return
        last = threading.Thread(target=self.sdk.shutdown, name="telemetry", daemon=True)
        last.start()
        last.join(LAST_EXPORT_S)


def open_telemetry(address: str, service: str) -> Telemetry:
    """Return a process's traces for the collector at ``address``, such as ``http://127.0.0.1:4318``.

    An empty ``address`` means OpenTelemetry's own environment variables.
    """
    if not address and not any(map(os.environ.get, ENDPOINT_VARIABLES)):
        return Telemetry()

    from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    facts = {"service.namespace": "lookstream", "service.version": version("lookstream")}
    named = {"service.name": service} if "OTEL_SERVICE_NAME" not in os.environ else {}
    exporter = OTLPSpanExporter(
        endpoint=f"{address.rstrip('/')}/v1/traces" if address else None, timeout=EXPORT_S
    )
    sdk = SdkTracerProvider(resource=Resource.create({**facts, **named}), shutdown_on_exit=False)
    sdk.add_span_processor(BatchSpanProcessor(exporter))
    return Telemetry(sdk, sdk)
