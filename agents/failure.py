"""What a stage's failure looks like to the job, to people and to the dead letters."""

from __future__ import annotations

from typing import Any

from agents.errors import BadAnswer, Rejected
from streams.errors import EventTooLarge
from streams.events import Event, StageFailed

_CHARACTERS = 2_000


def code_of(error: Exception) -> str:
    """Return the stable code of what went wrong."""
    if isinstance(error, Rejected | BadAnswer | EventTooLarge):
        return error.code
    return "stage-timeout" if isinstance(error, TimeoutError) else "stage-error"


def failed(stage: str, event: Event, error: Exception, **facts: Any) -> StageFailed:
    """Return the event that tells of it. ``facts``: attempts, started_at, stages."""
    rejected = isinstance(error, Rejected)
    return StageFailed(
        job_id=event.job_id,
        run=event.run,
        lane=event.lane,
        stage=stage,
        kind="rejected" if rejected else "error",
        code=code_of(error),
        message=_public(error)[:_CHARACTERS],
        detail=error.detail[:_CHARACTERS] if isinstance(error, Rejected) else "",
        **facts,
    )


def _public(error: Exception) -> str:
    """Name a fault of ours without its text, which may hold paths or secrets."""
    if isinstance(error, Rejected | BadAnswer):
        return error.message
    if isinstance(error, TimeoutError):
        return "The stage took too long and was given up."
    if isinstance(error, EventTooLarge):
        return "The stage's result is too large for the broker."
    return f"The stage failed unexpectedly ({type(error).__name__})."
