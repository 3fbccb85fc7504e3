"""The stage contract: a declaration together with the code that does the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from storage.artifacts.store import ArtifactStore
from streams.events.models import Event, Payload
from streams.stages.declaration import StageDeclaration


@dataclass(frozen=True)
class CachedResult:
    """A payload computed earlier, for the same content and version."""

    payload: Payload


@dataclass(frozen=True)
class FallbackResult:
    """A substitute for a payload that could not be computed. The runtime publishes a fallback but
    does not cache it, so the stage computes again when the content is submitted again."""

    payload: Payload


Made = Payload | CachedResult | FallbackResult
Outcome = Made | Exception
Handle = Callable[[Sequence[Any], ArtifactStore], Sequence[Outcome]]


@dataclass(frozen=True, kw_only=True)
class Stage(StageDeclaration):
    """A declared stage with its handler. A stage knows nothing of Kafka, databases or HTTP.

    ``handle(events, artifacts)`` returns one payload, `CachedResult`, `FallbackResult` or exception
    per event, in order. It runs in a worker thread, several calls at a time. If it raises, all
    events of the call have failed. ``warm_up`` runs once before the first photo. ``given(event)``
    returns a version of what the payload depends on besides the content, such as another stage's
    model.
    """

    handle: Handle
    warm_up: Callable[[], None] | None = None
    given: Callable[[Any], str] | None = None

    @classmethod
    def of(cls, declaration: StageDeclaration, **changes: Any) -> Stage:
        """Return ``declaration`` as a stage; ``changes`` are its handler and other field values."""
        declared = {one.name: getattr(declaration, one.name) for one in fields(StageDeclaration)}
        return cls(**{**declared, **changes})

    def version_for(self, event: Any) -> str:
        """Return the version under which the result of ``event`` is cached."""
        return f"{self.version}-{self.given(event)}" if self.given else self.version


def one_by_one(work: Callable[[Any, ArtifactStore], Made]) -> Handle:
    """Make a `Handle` from a function of one event; an exception becomes that event's outcome."""

    def handle(events: Sequence[Any], artifacts: ArtifactStore) -> list[Outcome]:
        return [_outcome(work, event, artifacts) for event in events]

    return handle


def _outcome(
    work: Callable[[Any, ArtifactStore], Made], event: Event, artifacts: ArtifactStore
) -> Outcome:
    try:
        return work(event, artifacts)
    except Exception as error:  # noqa: BLE001 - the runtime decides what to do with it
        return error
