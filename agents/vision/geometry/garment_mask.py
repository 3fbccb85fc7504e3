"""Compute the garment's mask at the photo's size from the network's small soft mask."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.vision.networks.prediction import SoftMask

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]

_SIDE = 512
_RADIUS, _SMOOTH = 6, 1e-4
_SLACK = 0.04  # a guided filter approaches 0 and 1 but does not reach them
_LEAST_AREA, _LEAST_SURE = 0.02, 0.5


@dataclass(frozen=True)
class Garment:
    """``alpha`` in 0-1 and ``mask`` (alpha above a half, its main parts) at the picture's size.

    ``confidence`` in 0-1 is the mean certainty of the mask's pixels.
    """

    alpha: NDArray[np.float32]
    mask: Mask
    confidence: float


def find_garment(picture: Picture, soft: SoftMask) -> Garment | None:
    """Return the mask of garment and wearer in ``picture`` (height x width x 3, RGB), or None if
    they are too small or the network is not sure.

    A guided filter (He, Sun and Tang, ECCV 2010) aligns the outline of the network's mask with the
    contours in the picture.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    rough = np.clip(soft.to(*size), 0, 1)
    main = _main_parts(rough > 0.5)
    if main is None or main.mean() < _LEAST_AREA:
        return None
    confidence = float(np.abs(rough[main] * 2 - 1).mean())
    if confidence < _LEAST_SURE:
        return None
    near = cv2.dilate(main.astype(np.uint8), np.ones((9, 9))) > 0
    guide = small.astype(np.float32) / 255
    refined = cv2.ximgproc.guidedFilter(guide, rough, _RADIUS, _SMOOTH) * near
    large = cv2.resize(np.clip(refined, 0, 1), (width, height), interpolation=cv2.INTER_CUBIC)
    alpha = np.asarray(np.clip((large - _SLACK) / (1 - 2 * _SLACK), 0, 1), np.float32)
    mask = np.asarray(alpha > 0.5)
    if not mask.any():  # in a picture of a few pixels, the filter may leave nothing
        return None
    return Garment(alpha, mask, confidence)


def _main_parts(mask: Mask) -> Mask | None:
    """Return the largest part and parts of similar size, such as a pair of shoes."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    return np.asarray(np.isin(labels, 1 + np.flatnonzero(areas >= 0.25 * areas.max())))
