"""Pose: whether the garment is worn or laid out, where it is, and its cut-out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agents.stages.predictions import SharedPredictions, working_copy
from agents.stages.resources import Resources
from agents.stages.stage import Outcome, Stage
from agents.vision.geometry.garment_mask import Garment, find_garment
from agents.vision.geometry.landmarks import MODEL as LANDMARKS
from agents.vision.geometry.landmarks import Landmarks, Mask
from agents.vision.geometry.wearer import MODEL, Body
from agents.vision.networks.prediction import Prediction
from agents.vision.text.kinds import Kind, likeliest_kind
from agents.vision.text.naming import is_nothing
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from streams.events.models import Box, ImageValidated, Keypoint, Posed
from streams.stages.registry import POSE

Picture = NDArray[np.uint8]
Cutout = tuple[Posed, Image.Image | None]


class FindsWearers(Protocol):
    """The part that pose uses of `agents.vision.geometry.wearer.WearerFinder`."""

    def find(self, picture: Picture) -> Body | None: ...


class FindsLandmarks(Protocol):
    """The part that pose uses of `agents.vision.geometry.landmarks.LandmarkFinder`."""

    def find(self, mask: Mask, kind: Kind | None = None) -> Landmarks: ...


@dataclass(frozen=True)
class Finders:
    """The finder of wearers, and the finder of landmarks on laid-out garments."""

    wearers: FindsWearers
    landmarks: FindsLandmarks


def pose_stage(
    *, wearers: FindsWearers, landmarks: FindsLandmarks, predictions: SharedPredictions
) -> Stage:
    """Build the stage; the garment network processes a whole batch in one pass."""
    version = f"{MODEL}-{LANDMARKS}-{predictions.model_id}"
    finders = Finders(wearers, landmarks)

    def one(event: ImageValidated, seen: Prediction, artifacts: ArtifactStore) -> Posed:
        picture = np.asarray(working_copy(event.sha256, artifacts))
        posed, cutout = estimate(picture, seen, finders, version)
        if cutout is None:
            return posed
        buffer = io.BytesIO()
        cutout.save(buffer, "PNG", compress_level=3)
        key = keys.cutout(event.sha256, version)
        artifacts.put(key, buffer.getvalue(), content_type="image/png")
        return posed.model_copy(update={"cutout": key})

    def handle(events: Sequence[ImageValidated], artifacts: ArtifactStore) -> list[Outcome]:
        outcomes: list[Outcome] = []
        found = predictions.predict([event.sha256 for event in events], artifacts)
        for event, seen in zip(events, found, strict=True):
            try:
                outcomes.append(
                    seen if isinstance(seen, Exception) else one(event, seen, artifacts)
                )
            except Exception as error:  # noqa: BLE001 - the runtime decides what to do with it
                outcomes.append(error)
        return outcomes

    def warm_up() -> None:
        predictions.warm_up()
        wearers.find(np.zeros((64, 64, 3), np.uint8))

    return Stage.of(POSE, version=version, handle=handle, warm_up=warm_up)


def build(resources: Resources) -> Stage:
    """Build the stage from the shared resources."""
    return pose_stage(
        wearers=resources.wearers,
        landmarks=resources.landmarks,
        predictions=resources.predictions,
    )


def estimate(picture: Picture, seen: Prediction, finders: Finders, model: str) -> Cutout:
    """Return the pose (without the ``cutout`` key) and the RGBA cut-out of the garment's box."""
    if is_nothing(dict(seen.types), seen.thresholds):
        return Posed(subject="none", model=model), None
    garment = find_garment(picture, seen.mask) if seen.mask else None
    body = finders.wearers.find(picture)
    if body is not None:
        return _worn(picture, body, garment, model)
    if garment is None:
        return Posed(subject="none", model=model), None
    marks = finders.landmarks.find(garment.mask, likeliest_kind(seen.types))
    points = tuple(
        Keypoint(
            name=name, x=_unit(x), y=_unit(y), confidence=_unit(confidence * garment.confidence)
        )
        for name, (x, y, confidence) in marks.points.items()
    )
    box = _box(marks.box)
    posed = Posed(subject="laid-out", keypoints=points, box=box, model=model)
    return posed, _cut(_clear(picture, garment), box)


def _clear(picture: Picture, garment: Garment | None) -> Image.Image:
    """Return the picture, transparent around the garment."""
    if garment is None:
        return Image.fromarray(picture).convert("RGBA")
    alpha = np.round(garment.alpha * 255).astype(np.uint8)
    return Image.fromarray(np.dstack([picture, alpha]), "RGBA")


def _worn(picture: Picture, body: Body, garment: Garment | None, model: str) -> Cutout:
    points = [p for p in body.values() if 0 <= p.x <= 1 and 0 <= p.y <= 1]
    seen = [p for p in points if p.confidence >= 0.5]
    shoulders = abs(body["left_shoulder"].x - body["right_shoulder"].x)
    pad = max(0.35 * shoulders, 0.02)
    cut_off = max(body["left_knee"].y, body["right_knee"].y) > 1
    lowest = 1.0 if cut_off else max(p.y for p in seen) + pad / 2
    left, right = min(p.x for p in seen) - pad, max(p.x for p in seen) + pad
    box = _box((left, min(p.y for p in seen) - pad, right, lowest))
    keypoints = tuple(Keypoint(name=p.name, x=p.x, y=p.y, confidence=p.confidence) for p in points)
    posed = Posed(subject="worn", keypoints=keypoints, box=box, model=model)
    return posed, _cut(_clear(picture, garment), box)


def _cut(image: Image.Image, box: Box) -> Image.Image:
    width, height = image.size
    left, top = int(box.left * width), int(box.top * height)
    right, bottom = (
        max(round(box.right * width), left + 1),
        max(round(box.bottom * height), top + 1),
    )
    return image.crop((left, top, right, bottom))


def _box(edges: tuple[float, float, float, float]) -> Box:
    left, top, right, bottom = (_unit(edge) for edge in edges)
    return Box(left=left, top=top, right=right, bottom=bottom)


def _unit(value: float) -> float:
    return round(min(max(float(value), 0.0), 1.0), 5)
