"""Distort drawn garments as in photos and masks: crumpled, rotated, cut off, incomplete."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from training.landmarks.pattern import Line, Pattern

CANVAS = 96
Mask = NDArray[np.bool_]
_TURNS = np.linspace(0, 2 * math.pi, 14, endpoint=False)


@dataclass(frozen=True)
class Drawn:
    """A mask (CANVAS, CANVAS) and the landmarks within the frame, in pixels (x, y)."""

    mask: Mask
    points: Mapping[str, tuple[float, float]]


def spoil(rng: Generator, pattern: Pattern) -> Drawn | None:
    """Return a distorted mask of a pattern; None if too little of the mask is left."""
    laid = _placed(rng, pattern.moved(_Crumpling(rng), dense=4).moved(_View(rng)))
    mask = _filled(rng, laid)
    frame = _frame(rng, mask)
    left, top, right, bottom = frame
    mask[:top], mask[bottom:], mask[:, :left], mask[:, right:] = False, False, False, False
    before = int(mask.sum())
    mask = _ragged(rng, _bite(rng, mask))
    mask[:top], mask[bottom:], mask[:, :left], mask[:, right:] = False, False, False, False
    if mask.sum() < max(0.4 * before, 60):
        return None
    slack = 2
    seen = {
        name: (x, y)
        for name, (x, y) in laid.points.items()
        if left - slack <= x <= right + slack and top - slack <= y <= bottom + slack
    }
    return Drawn(mask, seen)


class _Crumpling:
    """A smooth displacement: the sum of four random sine waves."""

    def __init__(self, rng: Generator, extent: float = 4.0) -> None:
        self.waves = rng.normal(0, 1, (4, 2)) * rng.uniform(0.3, 1.8, (4, 1)) / extent * 2 * math.pi
        self.phases = rng.uniform(0, 2 * math.pi, (4, 1))
        self.reach = rng.normal(0, 1, (4, 2)) * rng.uniform(0, 0.018) * extent

    def __call__(self, line: Line) -> Line:
        swing = np.sin(self.waves @ line.T + self.phases)
        moved: Line = line + swing.T @ self.reach
        return moved


class _View:
    """A rotation, unequal scales, a shear and a taper: a camera is seldom straight above."""

    def __init__(self, rng: Generator) -> None:
        wild = rng.random() < 0.08
        angle = math.radians(rng.uniform(-30, 30) if wild else rng.normal(0, 5))
        slant = np.array([[rng.uniform(0.85, 1.18), rng.normal(0, 0.04)], [rng.normal(0, 0.04), 1]])
        self.matrix = _turn(angle) @ slant
        self.taper = rng.normal(0, 0.02)

    def __call__(self, line: Line) -> Line:
        tapered = line * np.stack([1 + self.taper * line[:, 1], np.ones(len(line))], axis=1)
        moved: Line = tapered @ self.matrix.T
        return moved


def _placed(rng: Generator, pattern: Pattern) -> Pattern:
    """Return the pattern in pixels of the canvas."""
    every = np.concatenate(pattern.whole + pattern.loose)
    low, high = every.min(axis=0), every.max(axis=0)
    scale = rng.uniform(60, 88) / float((high - low).max())
    room = CANVAS - (high - low) * scale
    offset = room * rng.uniform(0.3, 0.7, 2) - low * scale
    return pattern.moved(lambda line: line * scale + offset)


def _filled(rng: Generator, pattern: Pattern) -> Mask:
    picture = Image.new("1", (CANVAS, CANVAS))
    brush = ImageDraw.Draw(picture)
    missing = rng.random() < 0.06
    kept = [sleeve for sleeve in pattern.loose if not (missing and rng.random() < 0.7)]
    for shape in [*pattern.whole, *kept]:
        brush.polygon(shape.ravel().tolist(), fill=1)
    for hole in pattern.holes:
        brush.polygon(hole.ravel().tolist(), fill=0)
    return np.array(picture)


def _frame(rng: Generator, mask: Mask) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the photo, mostly those of the canvas.

    In at most a quarter of cases the photo is smaller and may cut off parts of the garment.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows) or rng.random() > 0.25:
        return 0, 0, CANVAS, CANVAS
    high, wide = rows[-1] - rows[0], columns[-1] - columns[0]
    cuts = np.where(rng.random(4) < 0.4, rng.uniform(-0.02, 0.14, 4), -1.0)
    left, right = columns[0] + cuts[0] * wide, columns[-1] + 1 - cuts[1] * wide
    top, bottom = rows[0] + cuts[2] * high, rows[-1] + 1 - cuts[3] * high
    edges = np.clip(np.round([left, top, right, bottom]), 0, CANVAS).astype(int)
    return int(edges[0]), int(edges[1]), int(edges[2]), int(edges[3])


def _bite(rng: Generator, mask: Mask) -> Mask:
    """Remove and add random parts at the outline, as errors of a mask."""
    rims = np.argwhere(mask[1:] != mask[:-1])
    picture = Image.fromarray(mask)
    brush = ImageDraw.Draw(picture)
    for _ in range(rng.poisson(0.7) if len(rims) else 0):
        y, x = rims[rng.integers(len(rims))]
        angle, reach = rng.uniform(0, math.pi), rng.uniform(2, 10, 2)
        ring = np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=1) * reach
        turned = ring @ _turn(angle) + np.array([x, y])
        brush.polygon(turned.ravel().tolist(), fill=int(rng.random() < 0.5))
    bitten = np.array(picture)
    if rng.random() < 0.06:  # the top or the bottom is missing
        rows = np.flatnonzero(mask.any(axis=1))
        level = round(rng.uniform(0.05, 0.3) * (rows[-1] - rows[0]))
        lost = slice(rows[-1] - level, None) if rng.random() < 0.6 else slice(0, rows[0] + level)
        bitten[lost] = False
    return bitten


def _ragged(rng: Generator, mask: Mask) -> Mask:
    """Blur, add smooth noise, threshold again: closes gaps, rounds corners, frays edges."""
    blur = ImageFilter.GaussianBlur(rng.uniform(0, 3.0))
    soft = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).filter(blur)) / np.float32(255)
    coarse = int(rng.integers(16, 48))
    grain = Image.fromarray(rng.standard_normal((coarse, coarse), np.float32))
    noise = np.asarray(grain.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC))
    noise = noise * rng.uniform(0, 0.25)
    return np.asarray(soft + noise * (soft > 0.02) > rng.uniform(0.25, 0.6))


def _turn(angle: float) -> NDArray[np.float64]:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
