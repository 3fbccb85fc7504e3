"""Find the landmarks of a laid-out garment (neck, shoulders, sleeve ends, waist, hem) in its mask.

In names of points such as ``left_shoulder``, left means the wearer's left, as in a pose. In a front
view the wearer's left is the picture's right. In boxes, left means the picture's left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from agents.vision.geometry.crops import Frame, extent
from agents.vision.networks.landmark import POINTS, TWINS, LandmarkNet
from agents.vision.text.kinds import KINDS, Kind

SHIPPED = Path(__file__).parents[1] / "weights" / "landmark-net-1.safetensors"
MODEL = "landmark-net-1"

Mask = NDArray[np.bool_]
"""The garment's pixels: height × width, True where the garment is."""

Point = tuple[float, float, float]
"""x and y in 0–1 of the picture, and a confidence in 0–1."""

NEAR = 0.08
_THERE = 0.3
_SMALL = 256
_LOWER = {"left_waist", "right_waist", "left_hem", "right_hem"}
_UPPER = set(POINTS) - {"left_waist", "right_waist"}
OF_KIND: dict[Kind, set[str]] = {
    "top": _UPPER,
    "dress": set(POINTS),
    "bottoms": _LOWER,
    "skirt": _LOWER,
    "other": set(),
}


@dataclass(frozen=True)
class Landmarks:
    """``box`` is left, top, right, bottom in 0–1. ``points`` has the found points, by name."""

    box: tuple[float, float, float, float]
    points: dict[str, Point] = field(default_factory=dict)


class LandmarkFinder:
    """The shipped landmark network. Thread-safe."""

    def __init__(self, network: LandmarkNet) -> None:
        self._network = network.eval().requires_grad_(False)

    @classmethod
    def load(cls, path: Path | None = None) -> LandmarkFinder:
        """Load a safetensors file; without a name, the shipped file."""
        network = LandmarkNet()
        with safe_open(path or SHIPPED, framework="pt") as file:
            network.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})  # noqa: SIM118
        return cls(network)

    def find(self, mask: Mask, kind: Kind | None = None) -> Landmarks:
        """Return the landmarks of ``mask`` (height × width, True on the garment, not all False).

        Points: of tops and dresses ``neck`` and, ``left_`` and ``right_`` each, ``shoulder``,
        ``armpit``, ``sleeve_end``, ``hem`` (the lower corners) and, dresses only, ``waist`` (the
        narrowest place); of skirts ``waist`` (the waistband's upper corners) and ``hem``; of
        bottoms the same, where ``hem`` is the middle of a leg's lower edge. ``hem`` without a side
        is the middle of the lower edge of a garment without legs. ``fabric_top_left`` and
        ``fabric_bottom_right`` are of the most interior piece of fabric. Without ``kind``, the
        network estimates it from the mask. A confidence is the probability that the point exists
        and is less than 0.08 of the box's diagonal away.
        """
        step = max(1, round(max(mask.shape) / _SMALL))
        mask = mask[::step, ::step] if mask[::step, ::step].any() else mask
        height, width = mask.shape
        top, bottom, left, right = extent(mask)
        found = {**self._seen(mask, kind), **_fabric(mask)}
        points = {
            name: (_unit(x / width), _unit(y / height), sure)
            for name, (x, y, sure) in found.items()
        }
        return Landmarks((left / width, top / height, right / width, bottom / height), points)

    def _seen(self, mask: Mask, kind: Kind | None) -> dict[str, Point]:
        frame = Frame.around(mask)
        top, bottom, left, right = extent(mask)
        reach = NEAR * math.hypot(bottom - top, right - left) / frame.side
        points, kinds = self._ask(frame.cut(mask), kind)
        kind = kind or KINDS[int(kinds.argmax())]
        likely = float(kinds[KINDS.index(kind)])
        found: dict[str, Point] = {}
        for name, (x, y, spread, there) in zip(POINTS, points.tolist(), strict=True):
            if name in OF_KIND[kind] and there >= _THERE:
                found[name] = (*frame.without(x, y), likely * there * _near(reach, spread))
        left_hem, right_hem = found.get("left_hem"), found.get("right_hem")
        if left_hem and right_hem and kind != "bottoms":
            x, y = (left_hem[0] + right_hem[0]) / 2, (left_hem[1] + right_hem[1]) / 2
            found["hem"] = (x, y, min(left_hem[2], right_hem[2]))
        return found

    def _ask(self, seen: Tensor, kind: Kind | None) -> tuple[Tensor, Tensor]:
        """Return the points, and the probability of each kind in `KINDS`.

        The points have the shape (len(POINTS), 4): x, y, spread, and the probability (0–1) that the
        point exists. All values are means over the mask and its mirror image. With ``kind``, its
        probability is 1.
        """
        told = torch.zeros(2, len(KINDS))
        if kind:
            told[:, KINDS.index(kind)] = 1
        with torch.inference_mode():
            points, kinds = self._network(torch.stack([seen, seen.flip(1)])[:, None], told)
            points[..., 3] = points[..., 3].sigmoid()
            mirrored = points[1, TWINS]
            mirrored[:, 0] = 1 - mirrored[:, 0]
            shares = kinds.softmax(dim=1).mean(dim=0)
            return (points[0] + mirrored) / 2, told[0] if kind else shares


def _near(reach: float, spread: float) -> float:
    """Return the probability that a point is within ``reach``, if both errors follow a Laplace
    distribution."""
    ratio = reach / math.exp(min(max(spread, -6.0), 1.0))
    return 1 - (1 + ratio) * math.exp(-ratio)


def _fabric(mask: Mask) -> dict[str, Point]:
    """Return two corners of the largest square inside the mask, close to its middle."""
    top, bottom, left, right = extent(mask)
    inside = mask[top:bottom, left:right]
    height, width = inside.shape
    middle = float(np.nonzero(inside)[1].mean())
    side, (x, y) = _largest_square(inside, (middle, height * 0.4))
    share = min(1.0, 2.0 * side / max(min(width, height), 1))
    return {
        "fabric_top_left": (float(left + x - side), float(top + y - side), share),
        "fabric_bottom_right": (float(left + x), float(top + y), share),
    }


def _unit(value: float) -> float:
    return min(max(float(value), 0.0), 1.0)


def _largest_square(mask: Mask, wanted: tuple[float, float]) -> tuple[int, tuple[int, int]]:
    """Return the largest square inside ``mask``: its side and bottom right corner, exclusive.

    Of several, return the one whose centre is nearest to ``wanted`` (x, y). Unit: pixels. An empty
    mask gives side 0.
    """
    summed = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    low, high = 1, min(mask.shape)
    best = np.empty((0, 2), dtype=np.int64)
    side = 0
    while low <= high:
        middle = (low + high) // 2
        full = (
            summed[middle:, middle:]
            - summed[:-middle, middle:]
            - summed[middle:, :-middle]
            + summed[:-middle, :-middle]
        ) == middle * middle
        if full.any():
            side, best, low = middle, np.argwhere(full) + middle, middle + 1
        else:
            high = middle - 1
    if not side:
        return 0, (0, 0)
    centres = best - side / 2
    nearest = int(((centres[:, 1] - wanted[0]) ** 2 + (centres[:, 0] - wanted[1]) ** 2).argmin())
    y, x = best[nearest]
    return side, (int(x), int(y))
