"""Finding who wears the garment, by BlazePose (Bazarevsky et al., 2020) as MediaPipe ships it."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.vision.figure import draw_figure

Picture = NDArray[np.uint8]
MODEL = "blazepose-full"
NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
    "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_NOISE = (b"W0000 ", b"I0000 ", b"INFO: Created TensorFlow Lite", b"WARNING: All log messages")


@dataclass(frozen=True)
class BodyPoint:
    """One landmark: ``x`` and ``y`` in 0–1 of the picture (or beyond it), visibility in 0–1."""

    name: str
    x: float
    y: float
    confidence: float


Body = dict[str, BodyPoint]


class WearerFinder:
    """BlazePose, one instance a thread, since none may be shared. Loaded at its first use."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._loading = threading.Lock()

    def find(self, picture: Picture) -> Body | None:
        """Return the body's landmarks by name; None where nobody is seen.

        ``picture`` is height × width × 3, RGB. The torso (shoulders and hips) must be visible and
        of a person's proportions: a face printed on a T-shirt is no wearer.
        """
        pose = getattr(self._mine, "pose", None)
        if pose is None:
            with self._loading:
                pose = self._mine.pose = _blazepose()
        found = pose.process(picture).pose_landmarks
        if found is None:
            return None
        body = {
            name: BodyPoint(name, point.x, point.y, min(max(point.visibility, 0.0), 1.0))
            for name, point in zip(NAMES, found.landmark, strict=True)
        }
        height, width = picture.shape[:2]
        return body if is_wearer(body, width / height) else None


def is_wearer(body: Body, aspect: float) -> bool:
    """Tell whether ``body`` is a person large enough to wear the garment in the picture.

    ``aspect`` is the picture's width over its height.
    """
    torso = [body[name] for name in _TORSO]
    if min(point.confidence for point in torso[:2]) < 0.6:
        return False
    if min(point.confidence for point in torso[2:]) < 0.35:
        return False
    inside = [-0.05 <= point.x <= 1.05 and -0.05 <= point.y <= 1.15 for point in torso]
    if not all(inside):
        return False
    shoulders = np.array([[p.x * aspect, p.y] for p in torso[:2]])
    hips = np.array([[p.x * aspect, p.y] for p in torso[2:]])
    length = float(np.linalg.norm(shoulders.mean(axis=0) - hips.mean(axis=0)))
    across = float(np.linalg.norm(shoulders[0] - shoulders[1]))
    return length > 0.15 and across < 1.6 * length and hips[:, 1].mean() > shoulders[:, 1].mean()


def _blazepose() -> Any:
    """Build one instance and run it once, so that what it logs at its start comes now."""
    with _without_noise(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype")
        from mediapipe.python.solutions.pose import Pose  # heavy: only who finds wearers pays

        pose = Pose(static_image_mode=True, model_complexity=1, min_detection_confidence=0.5)
        pose.process(np.asarray(draw_figure()))  # a person: both networks start and have their say
        return pose


@contextmanager
def _without_noise() -> Iterator[None]:
    """Keep what MediaPipe's C++ writes to file descriptor 2; pass on what others write there."""
    with tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            for line in caught:
                if not line.startswith(_NOISE):
                    os.write(2, line)
