"""Logs: one line an event, JSON where nobody watches, coloured text on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

NOISY = ("faust", "aiokafka", "mode", "librdkafka", "httpx", "httpcore", "absl", "uvicorn.error")


def configure(level: str = "info", form: str = "auto") -> None:
    """Set up structlog and the standard library's logging. ``form`` is json, text or auto."""
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if as_text else structlog.processors.JSONRenderer()
    )
    threshold = logging.getLevelName(level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
    for name in NOISY:
        logging.getLogger(name).setLevel(max(threshold, logging.ERROR))
