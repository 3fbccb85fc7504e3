"""The stage contract: a declaration together with the code that does the work."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from storage.artifacts.store import ArtifactStore
from streams.events.models import Event, ImageValidated, Payload, StageResult
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
    per event, in order. The runtime calls ``handle`` in threads, several calls at the same time. If
    a call with several events raises, the runtime may call ``handle`` with each event alone.
    ``warm_up`` runs once before the first photo. If the payload depends on more than the content,
    such as another stage's model, ``given(event)`` returns a version of that. ``wants(event)`` is
    false for an event that another processor handles.
    When ``handle`` gives `TakesLong` for an event, the runtime publishes ``postponed(event)``, and
    ``handle_slow`` handles that event.
    """

    handle: Handle
    warm_up: Callable[[], None] | None = None
    given: Callable[[Any], str] | None = None
    wants: Callable[[Any], bool] = lambda _event: True
    postponed: Callable[[Any], Event] | None = None
    handle_slow: Handle | None = None

    @classmethod
    def of(cls, declaration: StageDeclaration, **changes: Any) -> Stage:
        """Return ``declaration`` as a stage; ``changes`` are its handler and other field values."""
        declared = {one.name: getattr(declaration, one.name) for one in fields(StageDeclaration)}
        return cls(**{**declared, **changes})

    def slow_part(self) -> Stage | None:
        """Return the part of the stage that handles postponed work, one event at a time."""
        if self.postpones is None or self.handle_slow is None:
            return None
        return replace(
            self,
            consumes=self.postpones,
            also_consumes=(),
            postpones=None,
            handle=self.handle_slow,
            handle_slow=None,
            postponed=None,
            wants=lambda _event: True,
            warm_up=None,
            batch=1,
            threads=1,
        )

    def version_for(self, event: Any) -> str:
        """Return the version under which the result of ``event`` is cached.

        A payload that depends on another stage's payload is cached apart for each such payload. So
        a forged result never replaces the cached payload of a true one. Of an `ImageValidated`, a
        stage uses only the content, which is part of every key.
        """
        parts = [self.version, self.given(event) if self.given else ""]
        if isinstance(event, StageResult) and not isinstance(event, ImageValidated):
            parts.append(payload_digest(event))
        return "-".join(filter(None, parts))


def payload_digest(event: StageResult) -> str:
    """Return 16 hex digits of the payload in a result event, without the fields of every result;
    an empty text for an event without a payload.

    A stage that writes artifacts made from another stage's payload puts the digest into their keys,
    so that a forged payload never replaces the artifacts of a true one.
    """
    payload = event.model_dump_json(exclude=set(StageResult.model_fields))
    if payload == "{}":
        return ""
    return hashlib.sha256(payload.encode()).hexdigest()[:16]


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
