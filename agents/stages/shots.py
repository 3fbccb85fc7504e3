"""Shots: views of the garment, cropped from the original at full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

from agents.inputs.decoding import QUICK_S, Box
from agents.stages.resources import Resources
from agents.stages.stage import Stage, one_by_one, payload_digest
from agents.vision.geometry.crops import View, plan_views
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from streams.events.models import PoseEstimated, Shot, ShotsPostponed, ShotsTaken
from streams.stages.registry import SHOTS


class Cuts(Protocol):
    """The part that shots uses of `agents.inputs.decoding.Decoder`."""

    def room(self, size: int, *, quick_s: float | None = None) -> AbstractContextManager[None]: ...

    def measure(self, data: bytes) -> tuple[int, int]: ...

    def crops(
        self, data: bytes, boxes: Sequence[Box], *, quick_s: float | None = None
    ) -> list[bytes]: ...

    def warm_up(self) -> None: ...


def shots_stage(*, decoder: Cuts, quick_s: float = QUICK_S) -> Stage:
    """Build the stage. Shots depend on the pose, so their keys include a digest of the pose: a
    replay may bring the pose of an older model. A photo that needs more than ``quick_s`` seconds of
    computing is postponed."""

    def work(
        event: PoseEstimated, artifacts: ArtifactStore, quick_s: float | None = None
    ) -> ShotsTaken:
        if event.subject == "none":
            return ShotsTaken()
        original = keys.original(event.sha256)
        with decoder.room(artifacts.stat(original).size, quick_s=quick_s):
            data = artifacts.get(original)
            views = plan_views(event, *decoder.measure(data))
            pictures = decoder.crops(data, [_edges(view) for view in views], quick_s=quick_s)
        shots = []
        for view, picture in zip(views, pictures, strict=True):
            key = keys.shot(event.sha256, f"{SHOTS.version}-{payload_digest(event)}", view.label)
            artifacts.put(key, picture, content_type="image/jpeg")
            shots.append(
                Shot(
                    label=view.label,
                    key=key,
                    box=view.box,
                    reason=view.reason,
                    confidence=view.confidence,
                )
            )
        return ShotsTaken(shots=tuple(shots))

    return Stage.of(
        SHOTS,
        handle=one_by_one(partial(work, quick_s=quick_s)),
        handle_slow=one_by_one(work),
        postponed=lambda event: ShotsPostponed.model_validate(event.model_dump()),
        warm_up=decoder.warm_up,
    )


def build(resources: Resources) -> Stage:
    """Build the stage from the shared resources."""
    return shots_stage(decoder=resources.decoder)


def _edges(view: View) -> Box:
    return view.box.left, view.box.top, view.box.right, view.box.bottom
