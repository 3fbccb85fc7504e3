"""The stage contract: a value that names its topics, its version and its work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from storage.artifacts.store import ArtifactStore
from streams.events.models import Event, Payload, StageResult
from streams.stages.graph import Node


@dataclass(frozen=True)
class CachedResult:
    """A payload computed earlier, for the same content and version."""

    payload: Payload


@dataclass(frozen=True)
class FallbackResult:
    """A payload that stands in for one that could not be had: published, and never kept, so that
    the stage is asked anew when the content comes again."""

    payload: Payload


Made = Payload | CachedResult | FallbackResult
Outcome = Made | Exception
Handle = Callable[[Sequence[Any], ArtifactStore], Sequence[Outcome]]


@dataclass(frozen=True)
class Stage:
    """One step of the work, pure of Kafka.

    ``handle(events, artifacts)`` returns a payload, `CachedResult`, `FallbackResult` or exception
    for each event, in order; it runs in a worker thread, several calls at a time, and may raise, in
    which case all of its events have failed. ``version`` changes whenever the same content would
    give another payload: results are kept by content and version. Where the payload depends on what
    the event says besides the content, ``given`` returns the version of that, which is added.
    ``timeout_s`` is for one call. A stage that waits for other machines rather than compute has
    ``threads`` of its own, so that it does not keep those of the process, one a core, from working.
    """

    name: str
    consumes: type[Event]
    emits: type[StageResult]
    payload: type[Payload]
    version: str
    handle: Handle
    batch: int = 8
    timeout_s: float = 60.0
    threads: int = 0
    warm_up: Callable[[], None] | None = None
    given: Callable[[Any], str] | None = None

    @property
    def node(self) -> Node:
        return Node(self.name, self.consumes.topic, self.emits.topic)

    def version_for(self, event: Any) -> str:
        """Return the version that the result of ``event`` is kept under."""
        return f"{self.version}-{self.given(event)}" if self.given else self.version


def one_by_one(work: Callable[[Any, ArtifactStore], Made]) -> Handle:
    """Make a `Handle` of a function of one event: each item's exception becomes its outcome."""

    def handle(events: Sequence[Any], artifacts: ArtifactStore) -> list[Outcome]:
        return [_outcome(work, event, artifacts) for event in events]

    return handle


def _outcome(
    work: Callable[[Any, ArtifactStore], Made], event: Event, artifacts: ArtifactStore
) -> Outcome:
    try:
        return work(event, artifacts)
    except Exception as error:  # noqa: BLE001 - the runtime decides what becomes of it
        return error
