"""Decide which events of a topic a replay publishes again, and how it changes them: pure.

A replay publishes each job's newest event again, as the start of a new run. The stages that consume
the topic, and the stages after them, process it again. The stage that published the event belongs
to the new run with its existing result; the stages before it do not. The job is completed when the
stages of the new run are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from streams.errors import TopicNotReplayable, UnknownStage
from streams.events.codec import Envelope
from streams.events.models import Event, StageResult
from streams.stages.graph import StageGraph

_DURATION = re.compile(r"([0-9]{1,9})\s*(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(text: str, now: datetime) -> datetime:
    """Parse a time: ISO 8601 (a time without a zone counts as UTC), or a duration before ``now``
    such as ``30s``, ``90m``, ``2h``, ``7d`` or ``1w``. Raises ValueError for another text."""
    if duration := _DURATION.fullmatch(text.strip()):
        try:
            return now - timedelta(**{_UNITS[duration[2]]: int(duration[1])})
        except OverflowError as error:
            raise ValueError("the time is before the year 1") from error
    try:
        time = datetime.fromisoformat(text.strip())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            "write a time as 2026-01-31T12:00:00Z, or a duration before now as 2h"
        ) from error


@dataclass(frozen=True)
class EventFilter:
    """Selects events with ``since`` ≤ time < ``until``, of one of ``jobs`` (empty: all jobs).

    ``match`` maps a dotted path in the event, such as ``top5.label``, to a text. The text must
    equal a value at the path; in a list, the value of one item.
    """

    since: datetime | None = None
    until: datetime | None = None
    jobs: frozenset[str] = frozenset()
    match: Mapping[str, str] = field(default_factory=dict)

    def matches(self, envelope: Envelope) -> bool:
        """Tell whether the event is selected."""
        if self.since and envelope.time < self.since:
            return False
        if self.until and envelope.time >= self.until:
            return False
        if self.jobs and envelope.event.job_id not in self.jobs:
            return False
        if not self.match:
            return True
        data = envelope.event.model_dump(mode="json")
        return all(
            text in map(_text, _values(data, path.split("."))) for path, text in self.match.items()
        )


def _values(data: Any, path: Sequence[str]) -> Iterator[Any]:
    """Yield the values at ``path``; in a list, those of each item."""
    if isinstance(data, list):
        for item in data:
            yield from _values(item, path)
    elif not path:
        yield data
    elif isinstance(data, dict) and path[0] in data:
        yield from _values(data[path[0]], path[1:])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@dataclass
class TopicScan:
    """The state of reading a topic: the numbers of records and undecodable records, and the newest
    selected event of each job. Memory grows with the number of jobs, not of events."""

    read: int = 0
    undecodable: int = 0
    newest: dict[str, Envelope] = field(default_factory=dict)

    def add(self, envelope: Envelope | None, selection: EventFilter) -> None:
        """Count one record. Keep its event if ``selection`` selects the event and no newer event of
        the job is known."""
        self.read += 1
        if envelope is None:
            self.undecodable += 1
        elif selection.matches(envelope):
            known = self.newest.get(envelope.event.job_id)
            if known is None or _age(known) <= _age(envelope):
                self.newest[envelope.event.job_id] = envelope


def _age(envelope: Envelope) -> tuple[int, datetime]:
    return envelope.event.run, envelope.time


@dataclass(frozen=True)
class ReplayPlan:
    """The stages that a replay of a topic runs.

    ``stages`` are the stage that emits the topic (no stage emits `image-submitted`) and all stages
    after it. ``readers`` are the stages that consume the topic. ``asked`` are the stages that the
    operator named, with the stages of ``stages`` that they need; if it is empty, each job gets the
    stages that it wanted before.
    """

    graph: StageGraph
    stages: tuple[str, ...]
    readers: frozenset[str]
    asked: tuple[str, ...] = ()

    @classmethod
    def of(cls, graph: StageGraph, topic: str, asked: Iterable[str] = ()) -> ReplayPlan:
        """Return the plan for ``topic``. Raises `TopicNotReplayable` and `UnknownStage`."""
        readers = frozenset(name for name, node in graph.nodes.items() if node.consumes == topic)
        if not readers:
            topics = dict.fromkeys(node.consumes for node in graph.nodes.values())
            raise TopicNotReplayable(
                f"no stage consumes {topic!r}; stages consume {', '.join(topics)}"
            )
        emitter = graph.emitter(topic)
        after = graph.downstream(emitter) if emitter else graph.names
        stages = (emitter, *after) if emitter else after
        names = tuple(asked)
        if names and (elsewhere := sorted(set(names) - set(after))):
            raise UnknownStage(
                f"{topic} does not lead to {', '.join(elsewhere)}, only to {', '.join(after)}"
            )
        wanted = graph.closure(names) if names else ()
        return cls(graph, stages, readers, tuple(name for name in wanted if name in stages))

    def wanted(self, of_job: Iterable[str]) -> tuple[str, ...]:
        """Return the stages of a job's new run in the graph's order, including the stage that emits
        the topic. Return () if none of them consumes the topic. ``of_job`` are all stages that the
        job wanted in any run."""
        wanted = set(self.asked or of_job) & set(self.stages)
        if not wanted & self.readers:
            return ()
        return tuple(name for name in self.graph.names if name in wanted or name == self.stages[0])


def with_run(
    event: Event, *, run: int, stages: tuple[str, ...], force: bool, now: datetime
) -> Event:
    """Return the event as the start of the new run ``run``, on the bulk lane."""
    changed: dict[str, Any] = {"run": run, "stages": stages, "force": force, "lane": "bulk"}
    if isinstance(event, StageResult):
        changed |= {"attempts": 1, "started_at": now, "reused": True}
    return event.model_copy(update=changed)
