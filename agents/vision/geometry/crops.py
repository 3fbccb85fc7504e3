"""Plan the views (shots) of a garment as boxes. Pure geometry on a pose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from streams.events.models import Box, Keypoint, Posed

# The landmark network reads a square crop of the mask around the garment, not distorted.
SIDE = 32
INSIDE = 28

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Frame:
    """The square that the network sees: left, top and side length in pixels of the mask."""

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, mask: Mask) -> Frame:
        """Return the frame around the True pixels of ``mask`` (at least one), with a margin."""
        top, bottom, left, right = extent(mask)
        side = max(-(-max(bottom - top, right - left) * SIDE // INSIDE), 2)
        return cls((left + right - side) // 2, (top + bottom - side) // 2, side)

    def cut(self, mask: Mask) -> Tensor:
        """Return the part of the mask in this frame: (SIDE, SIDE) in 0–1, with soft edges."""
        square = np.zeros((self.side, self.side), np.float32)
        top, bottom, left, right = extent(mask)
        square[top - self.top : bottom - self.top, left - self.left : right - self.left] = mask[
            top:bottom, left:right
        ]
        return F.adaptive_avg_pool2d(torch.from_numpy(square)[None, None], SIDE)[0, 0]

    def within(self, x: float, y: float) -> tuple[float, float]:
        """Convert ``x`` and ``y`` from the mask's pixels to 0–1 of the frame."""
        return (x - self.left) / self.side, (y - self.top) / self.side

    def without(self, x: float, y: float) -> tuple[float, float]:
        """Convert ``x`` and ``y`` from 0–1 of the frame to the mask's pixels."""
        return self.left + x * self.side, self.top + y * self.side


def extent(mask: Mask) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of the True pixels: the first row, the row after the last,
    the first column, and the column after the last. ``mask`` must have a True pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


SMALLEST = 32
LEAST_SURE = 0.35


@dataclass(frozen=True)
class View:
    """A planned view: ``box`` in 0–1 of the picture, and a readable reason."""

    label: str
    box: Box
    reason: str
    confidence: float


def plan_views(posed: Posed, width: int, height: int) -> list[View]:
    """Return the views of a picture of ``width`` × ``height`` pixels, each label at most once.

    Views with a confidence under 0.35 or a side under 32 px are left out. Without a subject there
    are no views.
    """
    if posed.subject == "none" or posed.box is None:
        return []
    plan = _Plan(posed, posed.box, width, height)
    views = plan.worn() if posed.subject == "worn" else plan.laid_out()
    return [view for view in views if view.confidence >= LEAST_SURE and plan.is_large(view.box)]


def _is_arm(name: str) -> bool:
    return name.endswith(("_elbow", "_wrist", "_pinky", "_index", "_thumb"))


class _Plan:
    """Plans in pixels, so that a square has equal sides."""

    def __init__(self, posed: Posed, box: Box, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.points = {point.name: point for point in posed.keypoints}
        self.left, self.right = box.left * width, box.right * width
        self.top, self.bottom = box.top * height, box.bottom * height

    def is_large(self, box: Box) -> bool:
        wide, high = (box.right - box.left) * self.width, (box.bottom - box.top) * self.height
        return min(wide, high) >= SMALLEST

    def laid_out(self) -> Iterator[View]:
        points = self.points
        sure = max((p.confidence for p in points.values()), default=0.5)
        yield self._full("the whole garment", max(sure, 0.5))
        yield from self._neck()
        neck, hem = points.get("neck"), points.get("hem")
        if neck and hem:
            yield self._view(
                "length", (self.left, self.top, self.right, self._at(hem)[1] + 0.02 * self._tall),
                "from the neck to the hem", min(neck.confidence, hem.confidence),
            )  # fmt: skip
        yield from self._fabric()
        yield from self._hem()
        yield from self._sleeve()

    def _neck(self) -> Iterator[View]:
        """Yield the view of the collar, if the neck is between the shoulders."""
        neck, shoulders, across = self.points.get("neck"), self._pair("shoulder"), self._across()
        if not neck or not shoulders or not across:
            return
        x, y = self._at(neck)
        ends = sorted(self._at(shoulder)[0] for shoulder in shoulders)
        if not ends[0] < x < ends[1]:
            return
        half = 0.36 * across
        below = max(y + 0.4 * across, *(self._at(point)[1] for point in shoulders))
        yield self._view(
            "neck", (x - half, min(y, self.top) - 0.06 * across, x + half, below),
            "around the collar, between the shoulders",
            min(neck.confidence, *(point.confidence for point in shoulders)),
        )  # fmt: skip

    def _across(self) -> float:
        """Return the width of the chest. Straps can be closer together than the chest is wide."""
        shoulders, armpits = self._pair("shoulder"), self._pair("armpit")
        between = abs(shoulders[0].x - shoulders[1].x) if shoulders else 0.0
        below = abs(armpits[0].x - armpits[1].x) if armpits else 0.0
        return max(between, 0.85 * below) * self.width

    def worn(self) -> Iterator[View]:
        shoulders, hips = self._pair("shoulder"), self._pair("hip")
        if not shoulders or not hips:
            return
        sure = min(point.confidence for point in shoulders)
        yield self._full("the wearer", sure)
        (lx, ly), (rx, ry) = map(self._at, shoulders)
        x, y = (lx + rx) / 2, (ly + ry) / 2
        torso = sum(self._at(hip)[1] for hip in hips) / 2 - y
        across = max(abs(lx - rx), 0.4 * torso)
        if "nose" in self.points:  # if the head is outside the picture, the neck may be too
            yield self._view(
                "neck", (x - 0.45 * across, y - 0.35 * across, x + 0.45 * across, y + 0.4 * across),
                "below the chin, between the shoulders", sure,
            )  # fmt: skip
        yield self._view(
            "length", (self.left, y - 0.2 * across, self.right, self.bottom),
            "from the shoulders down", min(sure, *(point.confidence for point in hips)),
        )  # fmt: skip
        yield from self._chest(x, y + 0.5 * torso, 0.24 * across, sure)

    def _chest(self, x: float, y: float, half: float, sure: float) -> Iterator[View]:
        """Yield the view of the fabric on the chest, unless a hand or an arm covers it."""
        arms = [point for name, point in self.points.items() if _is_arm(name)]
        if any(abs(self._at(p)[0] - x) < half and abs(self._at(p)[1] - y) < half for p in arms):
            return
        yield self._view(
            "zoom", (x - half, y - half, x + half, y + half),
            "the fabric, in the middle of the torso", sure,
        )  # fmt: skip

    def _fabric(self) -> Iterator[View]:
        first, last = self.points.get("fabric_top_left"), self.points.get("fabric_bottom_right")
        if not first or not last:
            return
        (left, top), (right, bottom) = self._at(first), self._at(last)
        side = min(right - left, bottom - top)
        x, y = (left + right) / 2, (top + bottom) / 2
        half = min(side * 0.4, 0.16 * max(self._wide, self._tall))
        yield self._view(
            "zoom", (x - half, y - half, x + half, y + half),
            "the fabric, well inside the outline", first.confidence,
        )  # fmt: skip

    def _hem(self) -> Iterator[View]:
        """Yield the view of the lower edge, or of both legs' ends."""
        hem, ends = self.points.get("hem"), self._pair("hem")
        if not ends:
            return
        left, right = sorted(self._at(end)[0] for end in ends)
        if not hem:
            yield from self._legs(ends, left, right)
            return
        y = self._at(hem)[1]
        margin = 0.05 * (right - left)
        yield self._view(
            "hem",
            (left - margin, y - 0.3 * (right - left), right + margin, y + 0.08 * (right - left)),
            "along the lower edge", hem.confidence,
        )  # fmt: skip

    def _legs(self, ends: tuple[Keypoint, Keypoint], left: float, right: float) -> Iterator[View]:
        apart = right - left
        high, low = sorted(self._at(end)[1] for end in ends)
        edges = (
            max(left - 0.65 * apart, self.left), high - 0.5 * apart,
            min(right + 0.65 * apart, self.right), low + 0.12 * apart,
        )  # fmt: skip
        sure = min(end.confidence for end in ends)
        yield self._view("hem", edges, "around the ends of both legs", sure)

    def _sleeve(self) -> Iterator[View]:
        """Yield the sleeve with the higher confidence, or the lower one: its end does not touch the
        body."""
        across = self._across()
        ends = [self.points.get(f"{side}_sleeve_end") for side in ("left", "right")]
        found = [end for end in ends if end]
        if not found or not across:
            return
        end = max(found, key=lambda point: (point.confidence, point.y))
        x, y = self._at(end)
        half = 0.28 * across
        yield self._view(
            "sleeve", (x - half, y - half, x + half, y + half),
            "around the end of a sleeve", end.confidence,
        )  # fmt: skip

    @property
    def _wide(self) -> float:
        return self.right - self.left

    @property
    def _tall(self) -> float:
        return self.bottom - self.top

    def _full(self, reason: str, sure: float) -> View:
        pad = 0.02 * max(self._wide, self._tall)
        edges = (self.left - pad, self.top - pad, self.right + pad, self.bottom + pad)
        return self._view("full", edges, reason, sure)

    def _pair(self, name: str) -> tuple[Keypoint, Keypoint] | None:
        left, right = self.points.get(f"left_{name}"), self.points.get(f"right_{name}")
        return (left, right) if left and right else None

    def _at(self, point: Keypoint) -> tuple[float, float]:
        return point.x * self.width, point.y * self.height

    def _view(
        self, label: str, edges: tuple[float, float, float, float], reason: str, sure: float
    ) -> View:
        """Make a view from ``edges`` in pixels, clipped to the picture."""
        clip: Callable[[float], float] = lambda value: round(min(max(value, 0.0), 1.0), 5)  # noqa: E731
        box = Box(
            left=clip(edges[0] / self.width),
            top=clip(edges[1] / self.height),
            right=clip(edges[2] / self.width),
            bottom=clip(edges[3] / self.height),
        )
        return View(label, box, reason, round(min(sure, 1.0), 3))
