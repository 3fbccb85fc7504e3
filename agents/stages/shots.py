"""Views of the garment, cut from the original at full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agents.inputs.decoding import Box
from agents.stages.stage import Stage, one_by_one
from agents.vision.geometry.crops import View, plan_views
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from streams.events.models import PoseEstimated, Shot, ShotsCut, ShotsTaken

NAME = "shots"
VERSION = "views-1"


class Cuts(Protocol):
    """What shots need of `agents.inputs.decoding.Decoder`."""

    def measure(self, data: bytes) -> tuple[int, int]: ...

    def crops(self, data: bytes, boxes: Sequence[Box]) -> list[bytes]: ...

    def warm_up(self) -> None: ...


def shots_stage(*, decoder: Cuts, timeout_s: float = 90.0) -> Stage:
    """Build the stage. Where it cuts depends on the pose, so it goes by its model too: a replay may
    bring the pose of an older one."""

    def work(event: PoseEstimated, artifacts: ArtifactStore) -> ShotsTaken:
        if event.subject == "none":
            return ShotsTaken()
        data = artifacts.get(keys.original(event.sha256))
        views = plan_views(event, *decoder.measure(data))
        pictures = decoder.crops(data, [_edges(view) for view in views])
        shots = []
        for view, picture in zip(views, pictures, strict=True):
            key = keys.shot(event.sha256, f"{VERSION}-{event.model}", view.label)
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

    return Stage(
        name=NAME,
        consumes=PoseEstimated,
        emits=ShotsCut,
        payload=ShotsTaken,
        version=VERSION,
        handle=one_by_one(work),
        timeout_s=timeout_s,
        warm_up=decoder.warm_up,
        given=lambda event: str(event.model),
    )


def _edges(view: View) -> Box:
    return view.box.left, view.box.top, view.box.right, view.box.bottom
