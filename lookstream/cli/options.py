"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

DEFAULT_GATEWAY = "http://127.0.0.1:8000"
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Gateway = Annotated[
    str,
    typer.Option(
        "--gateway", metavar="URL", envvar="LOOKSTREAM_GATEWAY", help="Where the gateway is."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Jobs = Annotated[list[str], typer.Argument(metavar="JOB…", help="Job ids.")]
Stages = Annotated[str, typer.Option(metavar="A,B", help="Only these stages, and what they need.")]
Force = Annotated[bool, typer.Option("--force", help="Compute again what is known.")]


def names(text: str) -> list[str]:
    """Read a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def pairs(texts: Iterable[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs. Raises `typer.BadParameter`."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
        found[name] = value
    return found


def moment(text: str | None, now: datetime | None = None) -> datetime | None:
    """Read a time: ``90m``, ``2h`` and ``7d`` ago, or one of ISO 8601, of this place if it names
    no zone. Raises `typer.BadParameter`."""
    if text is None:
        return None
    if ago := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        return (now or datetime.now(UTC)) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither like 2h nor like 2026-01-31T12:00") from None
