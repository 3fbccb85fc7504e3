"""Find the garments of a photo: regions of one kind in the output of the parts network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float32]
Mask = NDArray[np.bool_]

LEAST_AREA, LEAST_SURE = 0.006, 0.6
LEAST_SMALL = 0.003
SMALL = frozenset({"shoes", "headwear", "bag"})
LEFT_OUT = frozenset({"background", "wearer", "legwear", "other"})
_SIDE_PIECE = 0.2


@dataclass(frozen=True)
class Region:
    """One garment: the name of its part, its pixels (h, w), its box as left, top, right, bottom in
    0-1, and the mean probability of its part."""

    part: str
    mask: Mask
    box: tuple[float, float, float, float]
    confidence: float

    @property
    def area(self) -> float:
        """The share of the photo that the garment covers."""
        return float(self.mask.mean())

    @property
    def prominence(self) -> float:
        """The area, reduced by up to a half for a garment at the photo's edge."""
        across = abs((self.box[0] + self.box[2]) / 2 - 0.5)
        down = abs((self.box[1] + self.box[3]) / 2 - 0.5)
        return self.area * (1 - max(across, down))


def garment_regions(parts: Sequence[str], shares: Shares, mask: Mask) -> list[Region]:
    """Return the garments under the mask (h, w), the most prominent first.

    ``shares`` (parts, h, w) are the probabilities of ``parts`` at each pixel. Each kind of garment
    gives at most one region: two shoes are one item. Uncertain regions (`LEAST_SURE`) are left out,
    except the most prominent one.
    """
    if not mask.any():
        return []
    names = list(parts)
    chosen = np.where(mask, shares[1:].argmax(axis=0) + 1, 0)
    found = [
        region
        for number, part in enumerate(names)
        if part not in LEFT_OUT
        and (region := _region(part, chosen == number, shares[number])) is not None
    ]
    found.sort(key=lambda region: (-region.prominence, region.part))
    return found[:1] + [region for region in found[1:] if region.confidence >= LEAST_SURE]


def _region(part: str, place: Mask, shares: Shares) -> Region | None:
    least = LEAST_SMALL if part in SMALL else LEAST_AREA
    if place.mean() < least:
        return None
    main = _main_pieces(place)
    if main.mean() < least:
        return None
    return Region(part, main, box_of(main), round(float(shares[main].mean()), 4))


def _main_pieces(mask: Mask) -> Mask:
    """Return the largest piece and the pieces of similar size, such as a second shoe."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = 1 + np.flatnonzero(areas >= _SIDE_PIECE * areas.max())
    return np.asarray(np.isin(labels, kept))


def box_of(mask: Mask) -> tuple[float, float, float, float]:
    """Return the mask's box as left, top, right, bottom in 0-1. The mask is not empty."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )
