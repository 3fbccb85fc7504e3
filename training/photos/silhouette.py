"""Find the silhouette of a garment without a wearer by the colours of the picture's border.

A band along the border gives the background's colours in CIE Lab. Pixels far from all these colours
initialise the foreground of GrabCut (Rother, Kolmogorov and Blake, SIGGRAPH 2004), and GrabCut
finds the outline. An implausible mask is discarded.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]

_SIDE = 144
_BAND = 0.05
_CLUSTERS = 4
_VISIBLE = 10.0
_LEAST_CLEAR = 0.6


@dataclass(frozen=True)
class Silhouette:
    """``mask`` is True on the garment (height × width of the given picture).

    ``confidence`` in 0–1: how plausible the mask is as one object on a background.
    """

    mask: Mask
    confidence: float


def find_silhouette(picture: Picture) -> Silhouette | None:
    """Return the silhouette in ``picture`` (height × width × 3, RGB); None if implausible."""
    small = _shrunk(picture)
    for segmented, trust in ((_by_colour, 1.0), (_by_place, 0.7)):
        mask = segmented(small)
        confidence = 0.0 if mask is None else _plausibility(mask, small)
        if mask is not None and confidence > 0:
            return Silhouette(_enlarged(mask, picture.shape[:2]), confidence * trust)
    return None


def _enlarged(mask: Mask, shape: tuple[int, ...]) -> Mask:
    soft = cv2.resize(mask.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(soft > 0.5)


def _shrunk(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=method), dtype=np.uint8)


def _by_colour(small: Picture) -> Mask | None:
    """Start from the pixels whose colours differ from the colours at the photo's border."""
    distance = _distance_to_border_colours(small)
    level = _otsu(distance)
    seeds = np.where(distance > level, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    edge = max(1, round(min(distance.shape) * 0.02))
    frame = np.ones(distance.shape, bool)
    frame[edge:-edge, edge:-edge] = False
    seeds[frame & (distance < level)] = cv2.GC_BGD
    return _cut(small, seeds)


def _by_place(small: Picture) -> Mask | None:
    """Start from the middle of the photo, for a garment with the colours of the border."""
    height, width = small.shape[:2]
    seeds = np.full((height, width), cv2.GC_BGD, np.uint8)
    y, x = round(height * 0.06), round(width * 0.06)
    seeds[y:-y, x:-x] = cv2.GC_PR_BGD
    y, x = round(height * 0.18), round(width * 0.18)
    seeds[y:-y, x:-x] = cv2.GC_PR_FGD
    return _cut(small, seeds)


def _cut(small: Picture, seeds: NDArray[np.uint8]) -> Mask | None:
    """Find the outline with GrabCut; None if ``seeds`` or the result have no usable foreground."""
    if not (seeds == cv2.GC_PR_FGD).any() or (seeds == cv2.GC_PR_FGD).all():
        return None
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, seeds, (0, 0, 0, 0), *models, 2, cv2.GC_INIT_WITH_MASK)
    return _largest(np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD)))


def _distance_to_border_colours(small: Picture) -> NDArray[np.float32]:
    """Return each pixel's distance in Lab to the nearest border colour.

    The unit is the standard deviation of that colour's cluster in each channel, with a lower bound.
    """
    lab = cv2.cvtColor(cv2.GaussianBlur(small, (0, 0), 1.0), cv2.COLOR_RGB2LAB).astype(np.float32)
    height, width = lab.shape[:2]
    band = max(2, round(min(height, width) * _BAND))
    inside = np.zeros((height, width), bool)
    inside[band:-band, band:-band] = True
    border = lab[~inside]
    cv2.setRNGSeed(0)
    _, labels, centres = cv2.kmeans(
        border,
        _CLUSTERS,
        np.zeros((len(border), 1), np.int32),
        (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 0.5),
        1,
        cv2.KMEANS_PP_CENTERS,
    )
    nearest = np.full((height, width), np.inf, np.float32)
    for index, centre in enumerate(centres):
        members = border[labels[:, 0] == index]
        if len(members) < 0.06 * len(border):
            continue  # a small cluster is probably the garment, touching the border
        spread = np.maximum(members.std(axis=0), (6.0, 3.0, 3.0))
        nearest = np.minimum(nearest, (((lab - centre) / spread) ** 2).sum(axis=2))
    return np.sqrt(nearest)


def _otsu(distance: NDArray[np.float32]) -> float:
    top = float(np.percentile(distance, 99)) or 1.0
    scaled = np.clip(distance / top * 255, 0, 255).astype(np.uint8)
    level, _ = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return max(float(level) / 255 * top, 1.5)


def _largest(mask: Mask) -> Mask | None:
    """Return the largest connected part and parts of at least 35 % of its area; None if empty.

    Holes are filled unless the holes exceed 15 % of the kept area.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel, iterations=2)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = np.isin(labels, 1 + np.flatnonzero(areas >= 0.35 * areas.max()))
    outlines, _ = cv2.findContours(kept.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, (1,), thickness=cv2.FILLED)
    hole = (filled > 0) & ~kept
    return np.asarray(kept if hole.sum() > 0.15 * kept.sum() else filled > 0)


def _plausibility(mask: Mask, small: Picture) -> float:
    """Return how plausible the mask is as one object on a background: 0–1, 0 if implausible."""
    area = float(mask.mean())
    if not 0.06 <= area <= 0.85:
        return 0.0
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = sum(cv2.contourArea(cv2.convexHull(outline)) for outline in outlines)
    around = sum(cv2.arcLength(outline, True) for outline in outlines)
    solidity = float(mask.sum() / max(hull, 1.0))
    compact = float(4 * np.pi * mask.sum() / max(around, 1.0) ** 2)
    touching = float(edge.mean())
    if touching > 0.45 or solidity < 0.45 or compact < 0.1:
        return 0.0
    shape = (1 - touching) * min(1.0, solidity / 0.75) * min(1.0, compact / 0.2)
    clear = _clear_share(mask, small)
    return float(shape * clear) if clear >= _LEAST_CLEAR else 0.0


def _clear_share(mask: Mask, small: Picture) -> float:
    """Return the share of the outline where the colours inside and outside differ visibly."""
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    weight = mask.astype(np.float32)[..., None]
    reach = (9, 9)
    inner = cv2.boxFilter(lab * weight, -1, reach) / _share(weight, reach)
    outer = cv2.boxFilter(lab * (1 - weight), -1, reach) / _share(1 - weight, reach)
    solid = mask.astype(np.uint8)
    outline = mask & (cv2.erode(solid, np.ones((3, 3), np.uint8)) == 0)
    if not outline.any():
        return 0.0
    apart = np.linalg.norm((inner - outer)[outline], axis=1)
    return float((apart > _VISIBLE).mean())


def _share(weight: NDArray[np.float32], reach: tuple[int, int]) -> NDArray[np.float32]:
    spread = cv2.boxFilter(weight, -1, reach)
    return np.maximum(spread, 1e-3).reshape(*weight.shape[:2], 1)
