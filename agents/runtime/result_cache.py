"""Caches each stage's results by content and version, so that they are not computed again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from agents.stages.stage import CachedResult, FallbackResult, Outcome, Stage
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactNotFound
from streams.events.models import StageResult


class ResultCache:
    """The cached results of one stage: ``results/<sha256>/<stage>@<version>.json`` in the artifact
    store. Blocking: call it in a thread."""

    def __init__(self, stage: Stage, artifacts: ArtifactStore) -> None:
        self._stage = stage
        self._artifacts = artifacts

    def get(self, events: Sequence[Any]) -> list[CachedResult | None]:
        """Return the cached payload for each event's content and version, None without one.

        An event with ``force`` has no cached payload. Raises `StoreUnavailable`.
        """
        return [self._get(event) for event in events]

    def compute(self, events: Sequence[Any]) -> list[Outcome]:
        """Return the stage's outcome for each event, and store the new payloads.

        Raises what the stage's `handle` raises, and TypeError if `handle` returns another number of
        outcomes than events. If a payload cannot be stored, its outcome is the store's error.
        """
        made = self._stage.handle(events, self._artifacts)
        if len(made) != len(events):  # outcomes cannot be matched with events: store none
            raise TypeError(f"{len(made)} outcomes for {len(events)} events")
        return [self._store(event, each) for event, each in zip(events, made, strict=True)]

    def _key(self, event: StageResult) -> str:
        return keys.result(event.sha256, self._stage.name, self._stage.version_for(event))

    def _get(self, event: Any) -> CachedResult | None:
        if not isinstance(event, StageResult) or event.force:
            return None
        try:
            stored = self._artifacts.get(self._key(event))
            return CachedResult(self._stage.payload.model_validate_json(stored))
        except (ArtifactNotFound, ValidationError):
            return None  # not computed yet, truncated, or of a different shape

    def _store(self, event: Any, outcome: Outcome | None) -> Outcome:
        if outcome is None:
            return TypeError("no outcome")
        if isinstance(outcome, Exception | CachedResult | FallbackResult):
            return outcome
        if not isinstance(event, StageResult):
            return outcome
        try:
            self._artifacts.put(
                self._key(event),
                outcome.model_dump_json().encode(),
                content_type="application/json",
            )
        except Exception as error:  # noqa: BLE001 - becomes this item's outcome
            return error
        return outcome
