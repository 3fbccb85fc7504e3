"""How a replay fares: kept as an artifact, so that any gateway can tell, and after a restart."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactNotFound

SAVE_EVERY_S = 2.0
SILENT_FOR = timedelta(seconds=15)


class ReplayError(BaseModel):
    """Why a replay stopped; ``code`` is stable."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


INTERRUPTED = ReplayError(
    code="interrupted", message="The gateway that ran it ended. Run it again."
)


class ReplayState(BaseModel):
    """A replay as it is. ``heard_at`` is when the gateway that runs it last said that it lives."""

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

    def seen(self, now: datetime) -> ReplayState:
        """Return it as it is at ``now``: failed, where nobody runs it any more."""
        if self.status != "running" or now - self.heard_at < SILENT_FOR:
            return self
        return self.ended(self.heard_at, INTERRUPTED)

    def ended(self, at: datetime, error: ReplayError | None = None) -> ReplayState:
        """Return it at its end."""
        status = "failed" if error else "completed"
        changed = {"status": status, "error": error, "finished_at": at, "heard_at": at}
        return self.model_copy(update=changed)


def save(state: ReplayState, artifacts: ArtifactStore) -> None:
    """Keep it. Blocking. Raises `StoreUnavailable`."""
    data = state.model_dump_json().encode()
    artifacts.put(keys.replay(state.replay_id), data, content_type="application/json")


def load(replay_id: str, artifacts: ArtifactStore) -> ReplayState | None:
    """Return what is kept, or None. Blocking. Raises `StoreUnavailable`."""
    try:
        return ReplayState.model_validate_json(artifacts.get(keys.replay(replay_id)))
    except (ArtifactNotFound, ValidationError):
        return None
