"""Where a laid-out garment's neck, shoulders, sleeves' ends and hem are: from its mask alone.

Pure geometry on numpy. ``left`` and ``right`` are the wearer's, as in a pose: the left shoulder
of a garment that shows its front is on the right of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.vision.kinds import Kind
from agents.vision.outline import (
    Mask,
    compactness,
    farthest,
    hull_share,
    largest_square,
    line,
    runs,
    upper_edge,
)

Point = tuple[float, float, float]
"""x and y in 0–1 of the picture, and a confidence in 0–1."""

_LEGS = 0.25
_ENOUGH = 256


@dataclass(frozen=True)
class Landmarks:
    """``box`` is left, top, right, bottom in 0–1. ``points`` has what was found, by name."""

    box: tuple[float, float, float, float]
    points: dict[str, Point] = field(default_factory=dict)


def find_landmarks(mask: Mask, kind: Kind | None = None) -> Landmarks:
    """Read the landmarks off ``mask`` (height × width, True on the garment; at least one pixel).

    Points: ``neck``, ``left_shoulder``, ``right_shoulder``, ``left_sleeve_end``,
    ``right_sleeve_end`` of a top or a dress, ``hem``, ``left_hem``, ``right_hem`` of what has
    one, ``fabric_top_left`` and ``fabric_bottom_right`` of the most interior piece of fabric.
    """
    step = max(1, round(max(mask.shape) / _ENOUGH))
    mask = mask[::step, ::step]
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    shape = _Shape(mask[top:bottom, left:right])
    found: dict[str, tuple[float, float, float]] = {}
    found.update(shape.fabric())
    if shape.top:
        found.update(shape.upper())
    if shape.has_hem:
        found.update(shape.hem())
    points = {
        name: (float((x + left) / width), float((y + top) / height), confidence)
        for name, (x, y, confidence) in found.items()
    }
    box = (left / width, top / height, right / width, bottom / height)
    return Landmarks((float(box[0]), float(box[1]), float(box[2]), float(box[3])), points)


class _Shape:
    """A mask cut to its box, measured in its own pixels."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.height, self.width = mask.shape
        self.runs = [runs(row) for row in mask]
        self.centre = self._axis()
        self.left, self.right = self._sides()
        self.symmetry = self._symmetry()
        self.legs = self._has_legs()
        self.upper_third = hull_share(mask[: max(self.height // 3, 1)])
        self.dome = _is_dome(self.upper_third, compactness(mask))
        self.top = self._top_likeness()

    def _axis(self) -> float:
        """Return the x that halves most rows: sleeves and creases pull single rows only."""
        middles = [(row[0][0] + row[-1][1]) / 2 for row in self.runs if row]
        return float(np.median(middles))

    def _sides(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the x of the body's left and right side for each row: straight lines.

        Fitted (Theil–Sen, so that a cuff beside the body does not bend them) to the runs on the
        axis between 50 and 92 % of the height, and drawn on to the shoulders.
        """
        spans = []
        for y in range(round(self.height * 0.5), round(self.height * 0.92)):
            spans += [(y, *run) for run in self.runs[y] if run[0] <= self.centre <= run[1]]
        rows = np.arange(self.height)
        if len(spans) < 4:
            return np.zeros(self.height), np.full(self.height, float(self.width))
        ys, lefts, rights = np.array(spans, dtype=np.float64).T
        left, right = line(ys, lefts, rows), line(ys, rights, rows)
        waist = self._waist()
        return np.minimum(left, waist[0]), np.maximum(right, waist[1])

    def _waist(self) -> tuple[float, float]:
        """Return the left and right of the narrowest rows between 25 and 60 % of the height."""
        rows = self.runs[round(self.height * 0.25) : round(self.height * 0.6)]
        runs = [run for row in rows for run in row if run[0] <= self.centre <= run[1]]
        narrow = sorted(runs, key=lambda run: run[1] - run[0])[: max(len(runs) // 8, 1)]
        if not narrow:
            return self.centre - 1, self.centre + 1
        left, right = np.median(np.array(narrow), axis=0)
        return float(left), float(right)

    def _symmetry(self) -> float:
        """Return the overlap of the mask with its mirror image about the axis, in 0–1."""
        mirrored = np.zeros_like(self.mask)
        source = np.round(2 * self.centre - np.arange(self.width) - 1).astype(int)
        inside = (source >= 0) & (source < self.width)
        mirrored[:, inside] = self.mask[:, source[inside]]
        union = int((mirrored | self.mask).sum()) + int(self.mask[:, ~inside].sum())
        return float((mirrored & self.mask).sum() / max(union, 1))

    def _has_legs(self) -> bool:
        """Tell whether the lower part is two runs with the axis in the gap between them."""
        lower = self.runs[round(self.height * 0.6) : round(self.height * 0.97)]
        split = 0
        for row in lower:
            wide = [run for run in row if run[1] - run[0] > 0.12 * self.width]
            split += len(wide) == 2 and wide[0][1] <= self.centre + 0.1 * self.width <= wide[1][1]
        return bool(lower) and split > _LEGS * len(lower)

    def _top_likeness(self) -> float:
        """Return how sure it is, in 0–1, that this has shoulders; 0 is no.

        The signs: sleeves on both sides, a collar's dip in the upper edge, a neck far narrower
        than the chest. A skirt and shorts have a straight, wide waist; a hat is a dome; a shoe is
        no mirror image of itself; trousers have legs.
        """
        if self.legs or self.dome or self.symmetry < 0.65 or self.height < 0.5 * self.width:
            return 0.0
        narrows = self.right[-1] - self.left[-1] < 0.6 * (self.right[0] - self.left[0])
        if narrows or not self._is_level():
            return 0.0
        if all(self._sleeve(side) is not None for side in ("left", "right")):
            return 1.0
        upright = self.height > 0.85 * self.width
        start = max(self._span(at) for at in (0.01, 0.02, 0.03, 0.04))
        chest = max(self._span(at) for at in (0.15, 0.2, 0.25, 0.3))
        if upright and start < 0.6 * chest and self.upper_third > 0.9:
            return 0.75
        return 0.65 if 0.03 < self._dip() / self.height < 0.12 else 0.0

    @property
    def has_hem(self) -> bool:
        """Tell whether the lower edge is one, wide and fairly straight."""
        if self.legs or self.dome or self.symmetry < 0.65:
            return False
        body = float(self.right[-1] - self.left[-1])
        edge = self._lower_edge()
        return body > 0.3 * self.width and float(np.ptp(edge)) < 0.15 * max(self.height, body)

    def upper(self) -> dict[str, Point]:
        """Return neck, shoulders and, where they stand out from the body, the sleeves' ends."""
        contour = upper_edge(self.mask)
        sure = round(self.symmetry * self.top, 3)
        found: dict[str, Point] = {"neck": (self.centre, self._top_at(contour, self.centre), sure)}
        top = self.height // 8
        for side, x in (("right", self.left[top]), ("left", self.right[top])):
            x = min(max(float(x), 0.08 * self.width), 0.92 * self.width)
            found[f"{side}_shoulder"] = (x, self._top_at(contour, x), sure)
            if (sleeve := self._sleeve(side)) is not None:
                end = farthest(sleeve, found[f"{side}_shoulder"])
                found[f"{side}_sleeve_end"] = (*end, sure)
        return found

    def hem(self) -> dict[str, Point]:
        """Return the middle and both ends of the lower edge."""
        sure = round(self.symmetry, 3)
        below = float(np.median(self._lower_edge()))
        at = min(int(below), self.height - 1)
        return {
            "hem": (self.centre, below, sure),
            "right_hem": (max(float(self.left[at]), 0.0), below, sure),
            "left_hem": (min(float(self.right[at]), self.width), below, sure),
        }

    def fabric(self) -> dict[str, Point]:
        """Return two corners of the largest square inside, near the middle where there are more."""
        side, (x, y) = largest_square(self.mask, (self.centre, self.height * 0.4))
        share = min(1.0, 2.0 * side / max(min(self.width, self.height), 1))
        return {
            "fabric_top_left": (float(x - side), float(y - side), share),
            "fabric_bottom_right": (float(x), float(y), share),
        }

    def _span(self, at: float) -> float:
        row = self.runs[min(round(at * self.height), self.height - 1)]
        return float(row[-1][1] - row[0][0]) if row else 0.0

    def _is_level(self) -> bool:
        quarter = self.mask[: max(self.height // 4, 1)]
        left = quarter[:, : round(self.centre)].sum()
        right = quarter[:, round(self.centre) :].sum()
        return bool(min(left, right) > 0.45 * max(left, right))

    def _dip(self) -> float:
        """Return how much lower the upper edge is on the axis than to both sides of it."""
        contour = upper_edge(self.mask)
        reach = round(0.3 * float(np.median(self.right - self.left)))
        at = round(self.centre)
        left, right = contour[max(at - reach, 0) : at], contour[at : at + reach]
        if not len(left) or not len(right):
            return 0.0
        return self._top_at(contour, self.centre) - float(max(left.min(), right.min()))

    def _top_at(self, contour: NDArray[np.int64], x: float) -> float:
        reach = max(1, self.width // 40)
        at = int(np.clip(round(x), 0, self.width - 1))
        return float(np.median(contour[max(at - reach, 0) : at + reach + 1]))

    def _lower_edge(self) -> NDArray[np.int64]:
        """Return the y of the lowest pixel of each column of the body's middle 80 %."""
        left, right = float(self.left[-1]), float(self.right[-1])
        inset = 0.1 * (right - left)
        first = max(round(left + inset), 0)
        columns = self.mask[:, first : max(round(right - inset), first + 1)].T
        edge = [self.height - int(column[::-1].argmax()) for column in columns if column.any()]
        return np.array(edge or [0], dtype=np.int64)

    def _sleeve(self, side: str) -> Mask | None:
        """Return what stands out beside the body on one side.

        None where that is too little for a sleeve, or is not at the height of the shoulders.
        """
        columns = np.arange(self.width)[None, :]
        margin = 0.06 * float(np.median(self.right - self.left))
        if side == "right":
            out = self.mask & (columns < self.left[:, None] - margin)
        else:
            out = self.mask & (columns > self.right[:, None] + margin)
        out[round(self.height * 0.97) :] = False
        rows = np.flatnonzero(out.any(axis=1))
        if out.sum() < 0.015 * self.mask.sum() or rows[0] > 0.35 * self.height:
            return None
        return out


def _is_dome(upper_third: float, compact: float) -> bool:
    """Tell a hat: round all over, or round above. From 500 photos of laid-out garments."""
    return compact > 0.78 or (compact > 0.72 and upper_third > 0.975)
