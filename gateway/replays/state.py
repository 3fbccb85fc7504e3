"""The state of a replay, stored as an artifact: every gateway can read it, also after a restart."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactNotFound

SAVE_EVERY_S = 2.0
HEARTBEAT_TIMEOUT = timedelta(seconds=15)


class ReplayError(BaseModel):
    """Why a replay stopped; ``code`` is stable."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


INTERRUPTED = ReplayError(
    code="interrupted", message="The gateway stopped during this replay. Start the replay again."
)


class ReplayState(BaseModel):
    """Progress of one replay. ``heard_at`` is the heartbeat of the gateway that runs the replay."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    replay_id: str
    topic: str
    dry_run: bool
    status: Literal["running", "completed", "failed"] = "running"
    read: int = Field(default=0, ge=0)
    matched: int = Field(default=0, ge=0)
    published: int = Field(default=0, ge=0)
    skipped: int = Field(default=0, ge=0)
    error: ReplayError | None = None
    started_at: datetime
    finished_at: datetime | None = None
    heard_at: datetime

    def as_of(self, now: datetime) -> ReplayState:
        """Return the state at ``now``: failed if the last heartbeat is too old."""
        if self.status != "running" or now - self.heard_at < HEARTBEAT_TIMEOUT:
            return self
        return self.finish(self.heard_at, INTERRUPTED)

    def finish(self, at: datetime, error: ReplayError | None = None) -> ReplayState:
        """Return the final state: failed with ``error``, else completed."""
        status = "failed" if error else "completed"
        changed = {"status": status, "error": error, "finished_at": at, "heard_at": at}
        return self.model_copy(update=changed)


def save(state: ReplayState, artifacts: ArtifactStore) -> None:
    """Store the state. Blocking. Raises `StoreUnavailable`."""
    data = state.model_dump_json().encode()
    artifacts.put(keys.replay(state.replay_id), data, content_type="application/json")


def load(replay_id: str, artifacts: ArtifactStore) -> ReplayState | None:
    """Return the stored state, or None. Blocking. Raises `StoreUnavailable`."""
    try:
        return ReplayState.model_validate_json(artifacts.get(keys.replay(replay_id)))
    except (ArtifactNotFound, ValidationError):
        return None
