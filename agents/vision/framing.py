"""Masks as the landmark network takes them: cut to the garment, in a square, not squashed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

SIDE = 32
INSIDE = 28

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Frame:
    """The square that the network sees: its left, top and side in the mask's pixels."""

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, mask: Mask) -> Frame:
        """Frame what is True in ``mask``, which has at least one such pixel, with a margin."""
        top, bottom, left, right = extent(mask)
        side = max(-(-max(bottom - top, right - left) * SIDE // INSIDE), 2)
        return cls((left + right - side) // 2, (top + bottom - side) // 2, side)

    def cut(self, mask: Mask) -> Tensor:
        """Return the mask in this frame, (SIDE, SIDE) in 0–1, with soft edges."""
        square = np.zeros((self.side, self.side), np.float32)
        top, bottom, left, right = extent(mask)
        square[top - self.top : bottom - self.top, left - self.left : right - self.left] = mask[
            top:bottom, left:right
        ]
        return F.adaptive_avg_pool2d(torch.from_numpy(square)[None, None], SIDE)[0, 0]

    def within(self, x: float, y: float) -> tuple[float, float]:
        """Return where the mask's ``x`` and ``y`` lie in 0–1 of the frame."""
        return (x - self.left) / self.side, (y - self.top) / self.side

    def without(self, x: float, y: float) -> tuple[float, float]:
        """Return where ``x`` and ``y`` in 0–1 of the frame lie in the mask."""
        return self.left + x * self.side, self.top + y * self.side


def extent(mask: Mask) -> tuple[int, int, int, int]:
    """Return the first and last (exclusive) row and column with anything in them."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
