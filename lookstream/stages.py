"""Everything that the file of a custom stage imports. See docs/adding-a-stage.md.

from lookstream.stages import ImageValidated, Payload, stage
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import new_class
from typing import Any, ClassVar, get_type_hints

from agents.stages.errors import BadAnswer, Rejected, Unavailable
from agents.stages.stage import CachedResult, FallbackResult, Stage, one_by_one, payload_digest
from storage.artifacts.keys import of_stage as artifact_key
from storage.artifacts.store import ArtifactStore
from streams.events.models import (
    Event,
    ImageAnnotated,
    ImageCaptioned,
    ImageClassified,
    ImageThumbnailed,
    ImageValidated,
    Payload,
    PoseEstimated,
    ShotsCut,
    StageResult,
)

__all__ = [
    "ArtifactStore",
    "BadAnswer",
    "CachedResult",
    "FallbackResult",
    "ImageAnnotated",
    "ImageCaptioned",
    "ImageClassified",
    "ImageThumbnailed",
    "ImageValidated",
    "Payload",
    "PoseEstimated",
    "Rejected",
    "ShotsCut",
    "Stage",
    "StageResult",
    "Unavailable",
    "artifact_key",
    "one_by_one",
    "payload_digest",
    "stage",
]

Work = Callable[[Any, ArtifactStore], Any]


def stage(
    name: str,
    *,
    version: str,
    topic: str = "",
    timeout_s: float = 60.0,
    attempts: int = 3,
    threads: int = 0,
    warm_up: Callable[[], None] | None = None,
    given: Callable[[Any], str] | None = None,
) -> Callable[[Work], Stage]:
    """Make a stage from a function ``work(event, artifacts) -> payload``.

    The annotations of ``work`` name the consumed event and the payload. The result event goes to
    ``topic``, by default ``<name>-completed``. The other arguments are those of `Stage`. The stage
    may write artifacts under ``artifact_key(name, event.sha256, …)``; deleting a job deletes them.

    Raises TypeError if ``work`` has no such annotations, or if a field of the payload has the name
    of a field of `StageResult`.
    """

    def declare(work: Work) -> Stage:
        consumes, payload = _annotations(work)
        return Stage(
            name=name,
            consumes=consumes,
            emits=_result_event(topic or f"{name}-completed", payload),
            payload=payload,
            version=version,
            handle=one_by_one(work),
            timeout_s=timeout_s,
            attempts=attempts,
            threads=threads,
            warm_up=warm_up,
            given=given,
        )

    return declare


def _annotations(work: Work) -> tuple[type[Event], type[Payload]]:
    hints = get_type_hints(work)
    event = hints.get(next(iter(inspect.signature(work).parameters), ""))
    payload = hints.get("return")
    if not (isinstance(event, type) and issubclass(event, Event)):
        raise TypeError(f"{work.__name__}: annotate the first parameter with the event it reads")
    if not (isinstance(payload, type) and issubclass(payload, Payload)):
        raise TypeError(f"{work.__name__}: annotate the return value with a Payload class")
    return event, payload


def _result_event(topic: str, payload: type[Payload]) -> type[StageResult]:
    """Return an event class on ``topic`` that carries ``payload``."""
    if taken := sorted(set(payload.model_fields) & set(StageResult.model_fields)):
        raise TypeError(f"{payload.__name__}: every result has a field {taken[0]}")
    class_name = "".join(word.capitalize() for word in topic.split("-"))

    def body(namespace: dict[str, Any]) -> None:
        namespace["__module__"] = payload.__module__
        namespace["__annotations__"] = {"topic": ClassVar[str]}
        namespace["topic"] = topic

    event: type[StageResult] = new_class(class_name, (payload, StageResult), exec_body=body)
    return event
