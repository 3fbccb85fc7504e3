"""Logs: one line an event, JSON where nobody watches, coloured text on a terminal.

Keys that lines share: ``action``, ``stage``, and where a line is about a job ``job_id``, ``run``
and ``trace_id``; a gateway's lines have the ``request_id``. What libraries say looks the same.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

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
