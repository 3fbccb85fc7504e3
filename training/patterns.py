"""Outlines of garments with their landmarks, drawn at random: what landmarks are learnt from.

A unit is half the width of the chest or of the waistband; y points down, x to the wearer's left,
which is the right of a picture that shows the front. What a garment looks like is drawn from
ranges of proportions that tailors would call plausible or nearly so.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agents.vision.kinds import Kind

Line = NDArray[np.float64]
"""Points (n, 2)."""

SIDES = {"left": 1.0, "right": -1.0}


@dataclass
class Pattern:
    """Polygons that together are the garment, holes cut out of it, and its landmarks.

    `loose` has the polygons that a mask may well miss: sleeves.
    """

    kind: Kind
    whole: list[Line] = field(default_factory=list)
    loose: list[Line] = field(default_factory=list)
    holes: list[Line] = field(default_factory=list)
    points: dict[str, tuple[float, float]] = field(default_factory=dict)

    def moved(self, move: Callable[[Line], Line], dense: int = 1) -> "Pattern":
        """The same pattern with every point moved, and `dense` points for each of the outline's."""
        names = list(self.points)
        points = move(np.array([self.points[name] for name in names]).reshape(-1, 2))
        return Pattern(
            self.kind,
            [move(_dense(line, dense)) for line in self.whole],
            [move(_dense(line, dense)) for line in self.loose],
            [move(_dense(line, dense)) for line in self.holes],
            {name: (float(x), float(y)) for name, (x, y) in zip(names, points, strict=True)},
        )


def draw(rng: Generator, kind: Kind) -> Pattern:
    """A garment of that kind."""
    if kind in ("top", "dress"):
        return _upper(rng, kind)
    if kind == "bottoms":
        return _bottoms(rng)
    return _skirt(rng) if kind == "skirt" else _other(rng)


def _dense(line: Line, steps: int) -> Line:
    ahead = np.roll(line, -1, axis=0)
    parts = np.arange(steps)[:, None, None] / steps
    mixed: Line = line + (ahead - line) * parts
    return mixed.transpose(1, 0, 2).reshape(-1, 2)


def _chance(rng: Generator, share: float) -> bool:
    return bool(rng.random() < share)


def _between(rng: Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


@dataclass
class _Upper:
    """What both sides of a top or a dress have in common."""

    neck: float
    shoulder: float
    slope: float
    armhole: float
    length: float
    waist: float
    waist_at: float
    hem: float
    rounded: float
    sleeve: float
    long: bool
    angle: float


def _upper(rng: Generator, kind: Kind) -> Pattern:
    dress = kind == "dress"
    cut = _cut(rng, dress)
    pattern = Pattern(kind)
    sides = {side: _side(rng, pattern, side, cut, dress) for side in SIDES}
    below = cut.length + _between(rng, -0.04, 0.1) * cut.hem + cut.rounded * 0.3
    neckline = _neckline(rng, pattern, cut)
    pattern.whole.insert(
        0, np.concatenate([neckline, sides["left"], [(0.0, below)], sides["right"][::-1]])
    )
    if not dress and _chance(rng, 0.05):
        gap, high = _between(rng, 0.03, 0.3), _between(rng, 0.3, 1.2)
        pattern.holes.append(np.array([(0, high), (gap, below + 0.3), (-gap, below + 0.3)]))
    return pattern


def _cut(rng: Generator, dress: bool) -> _Upper:
    bare = _chance(rng, 0.5 if dress else 0.1)
    shoulder = _between(rng, 0.45, 0.95) if bare else _between(rng, 0.7, 1.03)
    neck = shoulder * _between(rng, 0.28, 0.62)
    if bare and _chance(rng, 0.5):
        neck = shoulder - _between(rng, 0.06, 0.25)
    slope = (shoulder - neck) * _between(rng, 0.05, 0.65)
    armhole = slope + _between(rng, 0.45, 1.15)
    length = _between(rng, 2.8, 6.5) if dress else _between(rng, 1.8, 3.4)
    length = max(length, armhole + 0.7)
    long = not bare and _chance(rng, 0.2 if dress else 0.6)
    reach = _between(rng, 0.55, 1.0) * min(length, 3.2) if long else _between(rng, 0.4, 1.4)
    return _Upper(
        neck=neck,
        shoulder=shoulder,
        slope=slope,
        armhole=armhole,
        length=length,
        waist=_between(rng, 0.62, 1.0) if dress else _between(rng, 0.78, 1.08),
        waist_at=_between(rng, 0.12, 0.4) if dress else _between(rng, 0.3, 0.6),
        hem=_between(rng, 0.9, 2.3) if dress else _between(rng, 0.82, 1.25),
        rounded=_between(rng, 0.1, 0.5) if not dress and _chance(rng, 0.3) else 0.0,
        sleeve=0.0 if bare else reach,
        long=long,
        angle=math.radians(_between(rng, -2, 75) if long else _between(rng, 12, 85)),
    )


def _side(rng: Generator, pattern: Pattern, side: str, cut: _Upper, dress: bool) -> Line:
    """The body's outline from the shoulder to the hem's corner; its landmarks and sleeve too."""
    mirror = np.array([SIDES[side], 1.0])
    wide, down = 1 + rng.normal(0, 0.04), rng.normal(0, 0.03)
    shoulder = np.array([cut.shoulder * wide, cut.slope + down])
    armpit = np.array([_between(rng, 0.93, 1.05) * wide, cut.armhole + down])
    low = cut.length - cut.rounded + down
    waist = np.array([cut.waist * wide, armpit[1] + (low - armpit[1]) * cut.waist_at])
    hem = np.array([cut.hem * wide, low])
    line = [shoulder]
    if not cut.sleeve:
        inward = min(cut.shoulder, 0.85) * wide
        line.append(np.array([inward, (shoulder[1] + armpit[1]) * 0.5]))
        line.append(np.array([(inward + armpit[0]) / 2, armpit[1] - 0.12]))
    line += [armpit, *_eased(armpit, waist), waist, *_eased(waist, hem), hem]
    if cut.rounded:
        line.append(np.array([hem[0] - 0.18, low + cut.rounded * 0.75]))
    found = {"shoulder": shoulder, "armpit": armpit, "hem": hem}
    if dress and cut.waist < 0.95 * min(1.0, cut.hem):
        found["waist"] = waist
    if cut.sleeve:
        arm, found["sleeve_end"] = _sleeve(rng, cut, shoulder, armpit)
        pattern.loose.append(arm * mirror)
    for name, (x, y) in found.items():
        pattern.points[f"{side}_{name}"] = (float(x * mirror[0]), float(y))
    outline: Line = np.array(line) * mirror
    return outline


def _eased(start: Line, end: Line) -> list[Line]:
    parts = [0.2, 0.4, 0.6, 0.8]
    return [
        np.array([start[0] + (end[0] - start[0]) * (1 - math.cos(math.pi * part)) / 2,
                  start[1] + (end[1] - start[1]) * part])
        for part in parts
    ]  # fmt: skip


def _sleeve(rng: Generator, cut: _Upper, shoulder: Line, armpit: Line) -> tuple[Line, Line]:
    """A sleeve's polygon and the middle of its cuff."""
    long = cut.long
    angle = cut.angle + math.radians(rng.normal(0, 8))
    bend = angle + math.radians(rng.normal(0, 14)) if long else angle
    if long and _chance(rng, 0.1):
        bend = -math.radians(_between(rng, 15, 80))
    root = (shoulder + armpit) / 2
    half = float(np.hypot(*(armpit - shoulder))) / 2
    cuff = _between(rng, 0.16, 0.36) if long else half * _between(rng, 0.5, 1.0)
    middle = (half * 0.8 + cuff) / 2 * _between(rng, 0.85, 1.3)
    length = cut.sleeve * (1 + rng.normal(0, 0.04))
    elbow = root + length * 0.5 * _direction(angle)
    end = elbow + length * 0.5 * _direction(bend)
    out, out_end = _direction(angle + math.pi / 2), _direction(bend + math.pi / 2)
    polygon = np.array([
        shoulder * 0.85, shoulder, elbow + out * middle, end + out_end * cuff,
        end - out_end * cuff, elbow - out * middle, armpit, armpit * 0.85,
    ])  # fmt: skip
    return polygon, end


def _direction(angle: float) -> Line:
    """From straight down, 0, outward to the side, π/2."""
    return np.array([math.sin(angle), math.cos(angle)])


def _neckline(rng: Generator, pattern: Pattern, cut: _Upper) -> Line:
    """The upper edge from the right to the left end of the neck; the neck's landmark too."""
    neck, style = cut.neck, rng.random()
    front = _between(rng, 0.05, 0.7) * min(1.0, 0.4 + neck)
    if style < 0.35:  # the back of the neck is not seen
        edge = [(-neck, 0.0), (-0.6 * neck, front * 0.7), (0.0, front), (0.6 * neck, front * 0.7)]
    elif style < 0.7:  # or it fills the opening
        back = _between(rng, -0.08, 0.15)
        edge = [(-neck, 0.0), (-0.5 * neck, back * 0.8), (0.0, back), (0.5 * neck, back * 0.8)]
    else:  # a collar stands above the shoulders, or a hood
        high = _between(rng, 0.3, 1.0) if _chance(rng, 0.2) else _between(rng, 0.04, 0.35)
        narrow = neck * _between(rng, 0.65, 1.05)
        notch = high * _between(rng, -0.15, 0.4)
        edge = [(-neck, 0.0), (-narrow, -high), (0.0, notch - high), (narrow, -high)]
        front = -high + notch if _chance(rng, 0.2) else _between(rng, -0.05, 0.45)
    pattern.points["neck"] = (0.0, front)
    return np.array([*edge, (neck, 0.0)])


def _bottoms(rng: Generator) -> Pattern:
    short = _chance(rng, 0.4)
    hips, crotch = _between(rng, 1.0, 1.4), _between(rng, 1.1, 2.3)
    length = crotch + (_between(rng, 0.1, 1.4) if short else _between(rng, 1.6, 5.0))
    half = _between(rng, 0.42, 0.7) * hips if short else _between(rng, 0.22, 0.5)
    spread = _between(rng, 0.5, 0.85) * hips if short else _between(rng, 0.25, 1.3)
    pattern = Pattern("bottoms")
    rise = _between(rng, -0.1, 0.16)
    flat = np.array([(-1.0, 0.0), (0.0, rise), (1.0, 0.0)])
    for side, sign in SIDES.items():
        mirror = np.array([sign, 1.0])
        wide, drop = 1 + rng.normal(0, 0.04), rng.normal(0, 0.05)
        middle = np.array([max(spread * (1 + rng.normal(0, 0.08)), half + 0.02), length + drop])
        tilt = (middle[0] - 0.6) / max(length - 0.5, 0.5) * _between(rng, 0.3, 1.2)
        across = np.array([half, -half * tilt])
        inner, outer = middle - across, middle + across
        hip = np.array([hips * wide, crotch * _between(rng, 0.5, 0.95)])
        if short:
            hip[0] = min(hip[0], max(float(outer[0]), 1.0))
        knee = (hip + outer) / 2 + np.array([rng.normal(0, 0.06) - 0.05, 0.0])
        leg = np.array([(0.0, 0.0), (wide, 0.0), *_eased(np.array([wide, 0.0]), hip), hip, knee,
                        outer, inner, (0.0, crotch)])  # fmt: skip
        pattern.whole.append(leg * mirror)
        pattern.points[f"{side}_waist"] = (float(wide * sign), 0.0)
        pattern.points[f"{side}_hem"] = (float(middle[0] * sign), float(middle[1]))
    if rise < 0:
        pattern.whole.append(flat)
    else:
        pattern.holes.append(flat * (0.9, 1.0))
    return pattern


def _skirt(rng: Generator) -> Pattern:
    length, hem = _between(rng, 1.2, 5.0), _between(rng, 0.9, 2.6)
    hips, at = max(_between(rng, 1.0, 1.35), 0.85 * min(hem, 1.3)), _between(rng, 0.4, 0.9)
    curve, rise = _between(rng, -0.05, 0.25) * hem, _between(rng, -0.1, 0.12)
    pattern = Pattern("skirt")
    lines = []
    for side, sign in SIDES.items():
        wide, drop = 1 + rng.normal(0, 0.03), rng.normal(0, 0.03)
        waist, corner = np.array([1.0, 0.0]), np.array([hem * wide, length + drop])
        hip = np.array([hips * wide, min(at, 0.4 * length)])
        if hem > 1.4:
            hip[0] = 1 + (hem - 1) * hip[1] / length * _between(rng, 0.7, 1.6)
        lines.append(np.array([waist, *_eased(waist, hip), hip, corner]) * (sign, 1.0))
        pattern.points[f"{side}_waist"] = (sign, 0.0)
        pattern.points[f"{side}_hem"] = (float(corner[0] * sign), float(corner[1]))
    pleats = [(hem * part, length + curve * (1 - part**2) + rng.normal(0, 0.015) * hem)
              for part in np.linspace(0.85, -0.85, 9)]  # fmt: skip
    pattern.whole.append(np.concatenate([[(0.0, rise)], lines[0], pleats, lines[1][::-1]]))
    return pattern


def _other(rng: Generator) -> Pattern:
    """A hat, a shoe, a bag or a pair of blobs: without landmarks."""
    pattern, style = Pattern("other"), rng.random()
    if style < 0.4:
        turns = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        wide = _between(rng, 0.6, 1.6)
        pattern.whole.append(np.stack([wide * np.cos(turns), np.sin(turns)], axis=1))
        if _chance(rng, 0.5):
            brim = np.stack([wide * 1.4 * np.cos(turns), 0.3 * np.sin(turns) + 0.7], axis=1)
            pattern.whole.append(brim)
    elif style < 0.75:
        shoe = np.array([(-1.2, -0.55), (-0.6, -0.65), (-0.25, -0.1), (0.95, 0.2), (1.2, 0.5),
                         (1.1, 0.6), (-1.2, 0.6)])  # fmt: skip
        shoe = shoe * (rng.choice([-1.0, 1.0]), _between(rng, 0.8, 1.5))
        pattern.whole.append(shoe)
        if _chance(rng, 0.5):
            aside = np.array([_between(rng, -0.5, 0.5), _between(rng, 0.5, 1.5)])
            pattern.whole.append(shoe + aside)
    else:
        high = _between(rng, 0.6, 1.4)
        pattern.whole.append(np.array([(-1, -high), (1, -high), (1.1, high), (-1.1, high)]))
        top = -high - _between(rng, 0.3, 1.0)
        pattern.whole.append(np.array([(-0.6, -high), (-0.4, top), (0.4, top), (0.6, -high)]))
        pattern.holes.append(np.array([(-0.45, -high), (-0.3, top + 0.15), (0.3, top + 0.15),
                                       (0.45, -high)]))  # fmt: skip
    return pattern
