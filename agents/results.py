"""Results kept by content and version, so that nothing is computed twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from agents.stage import Outcome, Reused, Stage
from storage import keys
from storage.artifacts import ArtifactStore
from storage.errors import ArtifactNotFound
from streams.events import StageResult


class ResultShelf:
    """One stage's ``results/<sha256>/<stage>@<version>.json``. Blocking: call it in threads."""

    def __init__(self, stage: Stage, artifacts: ArtifactStore) -> None:
        self._stage = stage
        self._artifacts = artifacts

    def _key(self, sha256: str) -> str:
        return keys.result(sha256, self._stage.name, self._stage.version)

    def serve(self, events: Sequence[Any]) -> list[Outcome]:
        """Return one outcome an event: what is kept, or else what `handle` makes, then kept.

        Raises what `handle` raises as a whole.
        """
        outcomes = [self._find(event) for event in events]
        todo = [i for i, found in enumerate(outcomes) if found is None]
        if todo:
            made = self._stage.handle([events[i] for i in todo], self._artifacts)
            if len(made) != len(todo):  # which is whose? None may be kept
                raise TypeError(f"{len(made)} outcomes for {len(todo)} events")
            for i, outcome in zip(todo, made, strict=True):
                outcomes[i] = self._keep(events[i], outcome)
        return [TypeError("no outcome") if each is None else each for each in outcomes]

    def _find(self, event: Any) -> Outcome | None:
        """Return the payload kept for the event's content and this version, if there is one."""
        if not isinstance(event, StageResult) or event.force:
            return None
        try:
            kept = self._artifacts.get(self._key(event.sha256))
            return Reused(self._stage.payload.model_validate_json(kept))
        except (ArtifactNotFound, ValidationError):
            return None  # never computed, cut off, or by a version that wrote another shape
        except Exception as error:  # noqa: BLE001 - this item's outcome
            return error

    def _keep(self, event: Any, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Exception | Reused) or not isinstance(event, StageResult):
            return outcome
        try:
            self._artifacts.put(
                self._key(event.sha256),
                outcome.model_dump_json().encode(),
                content_type="application/json",
            )
        except Exception as error:  # noqa: BLE001 - this item's outcome
            return error
        return outcome
