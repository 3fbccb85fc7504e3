"""Results kept by content and version, so that nothing is computed twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from agents.stages.stage import Outcome, Reused, Stage, Stopgap
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactNotFound
from streams.events.models import StageResult


class ResultShelf:
    """One stage's ``results/<sha256>/<stage>@<version>.json``. Blocking: call it in threads."""

    def __init__(self, stage: Stage, artifacts: ArtifactStore) -> None:
        self._stage = stage
        self._artifacts = artifacts

    def _key(self, event: StageResult) -> str:
        return keys.result(event.sha256, self._stage.name, self._stage.version_for(event))

    def kept(self, events: Sequence[Any]) -> list[Reused | None]:
        """Return what is kept for each event's content and this version; None where nothing is.

        Raises `StoreUnavailable`.
        """
        return [self._find(event) for event in events]

    def fill(self, events: Sequence[Any]) -> list[Outcome]:
        """Return what the stage makes of each event, and keep the new payloads.

        Raises what the stage's `handle` raises as a whole.
        """
        made = self._stage.handle(events, self._artifacts)
        if len(made) != len(events):  # which is whose? None may be kept
            raise TypeError(f"{len(made)} outcomes for {len(events)} events")
        return [self._keep(event, each) for event, each in zip(events, made, strict=True)]

    def _find(self, event: Any) -> Reused | None:
        if not isinstance(event, StageResult) or event.force:
            return None
        try:
            kept = self._artifacts.get(self._key(event))
            return Reused(self._stage.payload.model_validate_json(kept))
        except (ArtifactNotFound, ValidationError):
            return None  # never computed, cut off, or by a version that wrote another shape

    def _keep(self, event: Any, outcome: Outcome | None) -> Outcome:
        if outcome is None:
            return TypeError("no outcome")
        if isinstance(outcome, Exception | Reused | Stopgap):
            return outcome
        if not isinstance(event, StageResult):
            return outcome
        try:
            self._artifacts.put(
                self._key(event),
                outcome.model_dump_json().encode(),
                content_type="application/json",
            )
        except Exception as error:  # noqa: BLE001 - this item's outcome
            return error
        return outcome
