"""A garment's outline with landmarks, and helper functions to draw parts.

The unit is half the width of the chest or of the waistband. y points down. x points to the wearer's
left: in a picture of the front, to the right.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agents.vision.text.kinds import Kind

Line = NDArray[np.float64]
"""Points (n, 2)."""

SIDES = {"left": 1.0, "right": -1.0}


@dataclass
class Pattern:
    """A garment as the union of the polygons `whole` and `loose` without `holes`, and landmarks.

    `loose` has the sleeves. A mask may miss sleeves.
    """

    kind: Kind
    whole: list[Line] = field(default_factory=list)
    loose: list[Line] = field(default_factory=list)
    holes: list[Line] = field(default_factory=list)
    points: dict[str, tuple[float, float]] = field(default_factory=dict)

    def moved(self, move: Callable[[Line], Line], dense: int = 1) -> "Pattern":
        """Return the pattern with `move` applied to all points.

        Before the move, each edge of a polygon is divided into `dense` equal parts.
        """
        names = list(self.points)
        points = move(np.array([self.points[name] for name in names]).reshape(-1, 2))
        return Pattern(
            self.kind,
            [move(_dense(line, dense)) for line in self.whole],
            [move(_dense(line, dense)) for line in self.loose],
            [move(_dense(line, dense)) for line in self.holes],
            {name: (float(x), float(y)) for name, (x, y) in zip(names, points, strict=True)},
        )


def _dense(line: Line, steps: int) -> Line:
    ahead = np.roll(line, -1, axis=0)
    parts = np.arange(steps)[:, None, None] / steps
    mixed: Line = line + (ahead - line) * parts
    return mixed.transpose(1, 0, 2).reshape(-1, 2)


def chance(rng: Generator, share: float) -> bool:
    """Return True with probability ``share``."""
    return bool(rng.random() < share)


def between(rng: Generator, low: float, high: float) -> float:
    """Return a uniform random number from `low` to `high`."""
    return float(rng.uniform(low, high))


def eased(start: Line, end: Line) -> list[Line]:
    """Return four points between ``start`` and ``end`` on a curve that is vertical at both."""
    parts = [0.2, 0.4, 0.6, 0.8]
    return [
        np.array([start[0] + (end[0] - start[0]) * (1 - math.cos(math.pi * part)) / 2,
                  start[1] + (end[1] - start[1]) * part])
        for part in parts
    ]  # fmt: skip
