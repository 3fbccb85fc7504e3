"""Draw random trousers, shorts and skirts."""

import numpy as np
from numpy.random import Generator

from training.landmarks.pattern import SIDES, Pattern, between, chance, eased


def bottoms(rng: Generator) -> Pattern:
    """Return random trousers or shorts."""
    short = chance(rng, 0.4)
    hips, crotch = between(rng, 1.0, 1.4), between(rng, 1.1, 2.3)
    length = crotch + (between(rng, 0.1, 1.4) if short else between(rng, 1.6, 5.0))
    half = between(rng, 0.42, 0.7) * hips if short else between(rng, 0.22, 0.5)
    spread = between(rng, 0.5, 0.85) * hips if short else between(rng, 0.25, 1.3)
    pattern = Pattern("bottoms")
    rise = between(rng, -0.1, 0.16)
    flat = np.array([(-1.0, 0.0), (0.0, rise), (1.0, 0.0)])
    for side, sign in SIDES.items():
        mirror = np.array([sign, 1.0])
        wide, drop = 1 + rng.normal(0, 0.04), rng.normal(0, 0.05)
        middle = np.array([max(spread * (1 + rng.normal(0, 0.08)), half + 0.02), length + drop])
        tilt = (middle[0] - 0.6) / max(length - 0.5, 0.5) * between(rng, 0.3, 1.2)
        across = np.array([half, -half * tilt])
        inner, outer = middle - across, middle + across
        hip = np.array([hips * wide, crotch * between(rng, 0.5, 0.95)])
        if short:
            hip[0] = min(hip[0], max(float(outer[0]), 1.0))
        knee = (hip + outer) / 2 + np.array([rng.normal(0, 0.06) - 0.05, 0.0])
        leg = np.array([(0.0, 0.0), (wide, 0.0), *eased(np.array([wide, 0.0]), hip), hip, knee,
                        outer, inner, (0.0, crotch)])  # fmt: skip
        pattern.whole.append(leg * mirror)
        pattern.points[f"{side}_waist"] = (float(wide * sign), 0.0)
        pattern.points[f"{side}_hem"] = (float(middle[0] * sign), float(middle[1]))
    if rise < 0:
        pattern.whole.append(flat)
    else:
        pattern.holes.append(flat * (0.9, 1.0))
    return pattern


def skirt(rng: Generator) -> Pattern:
    """Return a random skirt, straight or flared."""
    length, hem = between(rng, 1.2, 5.0), between(rng, 0.9, 2.6)
    hips, at = max(between(rng, 1.0, 1.35), 0.85 * min(hem, 1.3)), between(rng, 0.4, 0.9)
    curve, rise = between(rng, -0.05, 0.25) * hem, between(rng, -0.1, 0.12)
    pattern = Pattern("skirt")
    lines = []
    for side, sign in SIDES.items():
        wide, drop = 1 + rng.normal(0, 0.03), rng.normal(0, 0.03)
        waist, corner = np.array([1.0, 0.0]), np.array([hem * wide, length + drop])
        hip = np.array([hips * wide, min(at, 0.4 * length)])
        if hem > 1.4:
            hip[0] = 1 + (hem - 1) * hip[1] / length * between(rng, 0.7, 1.6)
        lines.append(np.array([waist, *eased(waist, hip), hip, corner]) * (sign, 1.0))
        pattern.points[f"{side}_waist"] = (sign, 0.0)
        pattern.points[f"{side}_hem"] = (float(corner[0] * sign), float(corner[1]))
    pleats = [(hem * part, length + curve * (1 - part**2) + rng.normal(0, 0.015) * hem)
              for part in np.linspace(0.85, -0.85, 9)]  # fmt: skip
    pattern.whole.append(np.concatenate([[(0.0, rise)], lines[0], pleats, lines[1][::-1]]))
    return pattern
