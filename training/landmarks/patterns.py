"""Draw random outlines of garments with landmarks, to train the landmark network.

The proportions of a garment come from ranges of plausible or nearly plausible values.
"""

import math

import numpy as np
from numpy.random import Generator

from agents.vision.text.kinds import Kind
from training.landmarks.lowers import bottoms, skirt
from training.landmarks.pattern import Pattern, between, chance
from training.landmarks.uppers import upper


def draw(rng: Generator, kind: Kind) -> Pattern:
    """Return a random garment of the kind."""
    if kind in ("top", "dress"):
        return upper(rng, kind)
    if kind == "bottoms":
        return bottoms(rng)
    return skirt(rng) if kind == "skirt" else _other(rng)


def _other(rng: Generator) -> Pattern:
    """Return a hat, one or two shoes, or a bag, without landmarks."""
    pattern, style = Pattern("other"), rng.random()
    if style < 0.4:
        turns = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        wide = between(rng, 0.6, 1.6)
        pattern.whole.append(np.stack([wide * np.cos(turns), np.sin(turns)], axis=1))
        if chance(rng, 0.5):
            brim = np.stack([wide * 1.4 * np.cos(turns), 0.3 * np.sin(turns) + 0.7], axis=1)
            pattern.whole.append(brim)
    elif style < 0.75:
        shoe = np.array([(-1.2, -0.55), (-0.6, -0.65), (-0.25, -0.1), (0.95, 0.2), (1.2, 0.5),
                         (1.1, 0.6), (-1.2, 0.6)])  # fmt: skip
        shoe = shoe * (rng.choice([-1.0, 1.0]), between(rng, 0.8, 1.5))
        pattern.whole.append(shoe)
        if chance(rng, 0.5):
            aside = np.array([between(rng, -0.5, 0.5), between(rng, 0.5, 1.5)])
            pattern.whole.append(shoe + aside)
    else:
        high = between(rng, 0.6, 1.4)
        pattern.whole.append(np.array([(-1, -high), (1, -high), (1.1, high), (-1.1, high)]))
        top = -high - between(rng, 0.3, 1.0)
        pattern.whole.append(np.array([(-0.6, -high), (-0.4, top), (0.4, top), (0.6, -high)]))
        pattern.holes.append(np.array([(-0.45, -high), (-0.3, top + 0.15), (0.3, top + 0.15),
                                       (0.45, -high)]))  # fmt: skip
    return pattern
