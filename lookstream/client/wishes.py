"""What a caller may ask for, as keyword arguments that both clients and the command line share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict


class Wishes(TypedDict, total=False):
    """How a photo is to be processed."""

    stages: Sequence[str]
    """Only these, and what they need; none means all."""
    force: bool
    """Compute again what is known already of this content."""
    group: str | None
    metadata: Mapping[str, Any] | None
    lane: Literal["interactive", "bulk"] | None


class RunAgain(TypedDict, total=False):
    """How a job is to be processed again."""

    stages: Sequence[str]
    force: bool


class Filters(TypedDict, total=False):
    """Which jobs. ``text`` is looked for in captions; times are of the submission."""

    status: str | Sequence[str]
    group: str | None
    type: str | None
    colour: str | None
    label: str | None
    text: str | None
    since: datetime | None
    until: datetime | None


class ReplayWishes(TypedDict, total=False):
    """Which events of a topic to publish again, and how."""

    since: datetime | None
    until: datetime | None
    job_ids: Sequence[str]
    match: Mapping[str, Any]
    stages: Sequence[str]
    rate: float | None
    force: bool
    dry_run: bool


def said(wishes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the wishes that say something, for a JSON body."""
    return {name: _plain(value) for name, value in wishes.items() if _says(value)}


def form_fields(wishes: Mapping[str, Any]) -> dict[str, str]:
    """Return them for a form: lists by commas, objects as JSON."""
    return {name: _text(value) for name, value in said(wishes).items()}


def query(filters: Filters) -> list[tuple[str, str]]:
    """Return filters as they stand in an address; a status may be repeated."""
    named = {"q" if name == "text" else name: value for name, value in filters.items()}
    return [
        (name, value.isoformat() if isinstance(value, datetime) else str(value))
        for name, given in named.items()
        if _says(given)
        for value in _all(given)
    ]


def replay_body(topic: str, wishes: ReplayWishes) -> dict[str, Any]:
    """Return the body of `POST /v1/replays`; there the times are ``from`` and ``to``."""
    names = {"since": "from", "until": "to"}
    return {"topic": topic, **{names.get(name, name): v for name, v in said(wishes).items()}}


def _says(value: Any) -> bool:
    return value is not None and value is not False and value not in ("", (), [], {})


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(value)
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value)


def _all(value: Any) -> Iterable[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
