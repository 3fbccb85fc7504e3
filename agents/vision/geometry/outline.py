"""Measuring a mask: runs, edges, lines, squares. Pure numpy; pixels unless said otherwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def upper_edge(mask: Mask) -> NDArray[np.int64]:
    """Return the y of the topmost pixel of each column; the height where there is none."""
    return np.where(mask.any(axis=0), mask.argmax(axis=0), mask.shape[0]).astype(np.int64)


def farthest(mask: Mask, point: tuple[float, ...]) -> tuple[float, float]:
    """Return the middle of the pixels that are farthest from ``point``."""
    ys, xs = np.nonzero(mask)
    far = (xs - point[0]) ** 2 + (ys - point[1]) ** 2
    ends = far >= np.quantile(far, 0.85)
    return float(xs[ends].mean()), float(ys[ends].mean())


def line(
    ys: NDArray[np.float64], xs: NDArray[np.float64], at: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Fit x over y by the median of slopes (Theil 1950, Sen 1968); return it for each of ``at``."""
    half = len(ys) // 2
    steps = ys[half : 2 * half] - ys[:half]
    slopes = (xs[half : 2 * half] - xs[:half])[steps > 0] / steps[steps > 0]
    slope = float(np.clip(np.median(slopes), -0.6, 0.6)) if len(slopes) else 0.0
    return np.asarray(np.median(xs - slope * ys) + slope * at, dtype=np.float64)


def compactness(mask: Mask) -> float:
    """Return 4π area / perimeter²: 1 for a disc, 0.79 for a square (edges smoothed)."""
    padded = np.pad(mask.astype(np.float64), 2)
    for axis in (0, 1):  # a 3-box blur, so that a slanting edge is not counted as stairs
        padded = (np.roll(padded, 1, axis) + padded + np.roll(padded, -1, axis)) / 3
    down, across = np.gradient(padded)
    around = float(np.hypot(down, across).sum())
    return float(4 * np.pi * mask.sum() / max(around, 1.0) ** 2)


def runs(row: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the start and end (exclusive) of each run of True."""
    steps = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(steps[::2], steps[1::2], strict=True)]


def largest_square(mask: Mask, wanted: tuple[float, float]) -> tuple[int, tuple[int, int]]:
    """Return the side and the bottom right corner (exclusive) of a large square inside ``mask``.

    Of the squares at least 0.9 times as large as the largest, the one nearest to ``wanted``.
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


def hull_share(mask: Mask) -> float:
    """Return the share of its convex hull that ``mask`` fills, in 0–1: 1 has no dent anywhere."""
    rows = np.flatnonzero(mask.any(axis=1))
    left = mask.argmax(axis=1)[rows]
    right = mask.shape[1] - mask[:, ::-1].argmax(axis=1)[rows]
    hull = _trapezia(rows, _bulge(rows, right)) - _trapezia(rows, -_bulge(rows, -left))
    return float(min(mask.sum() / max(hull, 1.0), 1.0))


def _bulge(ys: NDArray[np.int64], xs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the lowest concave function of ``ys`` that is nowhere under ``xs`` (Andrew 1979)."""
    kept: list[int] = []
    for i in range(len(ys)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            cross = (xs[b] - xs[a]) * (ys[i] - ys[a]) - (xs[i] - xs[a]) * (ys[b] - ys[a])
            if cross > 0:
                break
            kept.pop()
        kept.append(i)
    return np.interp(ys, ys[kept], xs[kept])


def _trapezia(ys: NDArray[np.int64], xs: NDArray[np.float64]) -> float:
    """Return the area between the y axis and ``xs``; every row counts whole."""
    every = np.arange(ys[0], ys[-1] + 1)
    return float(np.interp(every, ys, xs).sum())
