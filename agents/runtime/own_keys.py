"""Keys in result events: each one must belong to the content that the event names.

A producer that may write a result topic can forge a result event. So the keys that follow from the
content hash are computed again, and an event with a key of another content is refused.
"""

from __future__ import annotations

from dataclasses import replace

from storage.artifacts import keys
from streams.errors import UndecodableEvent
from streams.events.codec import Envelope
from streams.events.models import (
    Drawn,
    Event,
    ImageValidated,
    Posed,
    ShotsTaken,
    StageResult,
    Thumbnailed,
)
from streams.stages.registry import BUILT_IN

_KINDS = {stage.emits: stage.artifacts for stage in BUILT_IN}


def with_own_keys(envelope: Envelope) -> Envelope:
    """Return the envelope of an event whose keys belong to the event's content.

    In `ImageValidated` the keys are computed again. Raises `UndecodableEvent` for a result of
    another built-in stage with a key that does not belong to the content.
    """
    event = envelope.event
    if isinstance(event, ImageValidated):
        own = {"original": keys.original(event.sha256), "working": keys.working(event.sha256)}
        return replace(envelope, event=event.model_copy(update=own))
    if isinstance(event, StageResult):
        kinds = _kinds(event)
        for key in _pictures(event):
            if not keys.belongs(key, event.sha256, kinds):
                raise UndecodableEvent(f"the key {key[:200]!r} is not of the event's content")
    return envelope


def _kinds(event: StageResult) -> tuple[str, ...]:
    """Return the key prefixes of the stage that made the result, also if the result is postponed
    work of the next stage (`ShotsPostponed`)."""
    return next((_KINDS[kind] for kind in type(event).__mro__ if kind in _KINDS), ())


def _pictures(event: Event) -> list[str]:
    if isinstance(event, Posed):
        return [event.cutout] if event.cutout else []
    if isinstance(event, ShotsTaken):
        return [shot.key for shot in event.shots]
    if isinstance(event, Thumbnailed):
        return [thumbnail.key for thumbnail in event.thumbnails]
    return [event.key] if isinstance(event, Drawn) else []
