"""Draw random tops and dresses."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from agents.vision.text.kinds import Kind
from training.landmarks.pattern import SIDES, Line, Pattern, between, chance, eased


@dataclass
class _Upper:
    """The measures that both sides of a top or a dress share.

    Lengths are in units of `training.landmarks.pattern`; ``waist_at`` is a share of the distance
    from armpit to hem; ``angle`` is in radians from straight down.
    """

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


def upper(rng: Generator, kind: Kind) -> Pattern:
    """Return a random top or dress."""
    dress = kind == "dress"
    cut = _cut(rng, dress)
    pattern = Pattern(kind)
    sides = {side: _side(rng, pattern, side, cut, dress) for side in SIDES}
    below = cut.length + between(rng, -0.04, 0.1) * cut.hem + cut.rounded * 0.3
    neckline = _neckline(rng, pattern, cut)
    pattern.whole.insert(
        0, np.concatenate([neckline, sides["left"], [(0.0, below)], sides["right"][::-1]])
    )
    if not dress and chance(rng, 0.05):
        gap, high = between(rng, 0.03, 0.3), between(rng, 0.3, 1.2)
        pattern.holes.append(np.array([(0, high), (gap, below + 0.3), (-gap, below + 0.3)]))
    return pattern


def _cut(rng: Generator, dress: bool) -> _Upper:
    bare = chance(rng, 0.5 if dress else 0.1)
    shoulder = between(rng, 0.45, 0.95) if bare else between(rng, 0.7, 1.03)
    neck = shoulder * between(rng, 0.28, 0.62)
    if bare and chance(rng, 0.5):
        neck = shoulder - between(rng, 0.06, 0.25)
    slope = (shoulder - neck) * between(rng, 0.05, 0.65)
    armhole = slope + between(rng, 0.45, 1.5)
    length = between(rng, 2.8, 6.5) if dress else between(rng, 1.8, 3.4)
    length = max(length, armhole + 0.7)
    long = not bare and chance(rng, 0.2 if dress else 0.6)
    reach = between(rng, 0.55, 1.0) * min(length, 3.2) if long else between(rng, 0.4, 1.4)
    return _Upper(
        neck=neck,
        shoulder=shoulder,
        slope=slope,
        armhole=armhole,
        length=length,
        waist=between(rng, 0.62, 1.0) if dress else between(rng, 0.78, 1.08),
        waist_at=between(rng, 0.12, 0.4) if dress else between(rng, 0.3, 0.6),
        hem=between(rng, 0.9, 2.3) if dress else between(rng, 0.82, 1.25),
        rounded=between(rng, 0.1, 0.5) if not dress and chance(rng, 0.3) else 0.0,
        sleeve=0.0 if bare else reach,
        long=long,
        angle=math.radians(_hanging(rng) if long else between(rng, 12, 85)),
    )


def _hanging(rng: Generator) -> float:
    """Return the angle of a long sleeve from straight down in degrees, often close to the body."""
    return between(rng, -5, 22) if chance(rng, 0.4) else between(rng, 15, 75)


def _side(rng: Generator, pattern: Pattern, side: str, cut: _Upper, dress: bool) -> Line:
    """Return the body's outline from the shoulder to the hem's corner.

    Add the landmarks and the sleeve of the side to ``pattern``.
    """
    mirror = np.array([SIDES[side], 1.0])
    wide, down = 1 + rng.normal(0, 0.04), rng.normal(0, 0.03)
    shoulder = np.array([cut.shoulder * wide, cut.slope + down])
    armpit = np.array([between(rng, 0.93, 1.05) * wide, cut.armhole + down])
    low = cut.length - cut.rounded + down
    waist = np.array([cut.waist * wide, armpit[1] + (low - armpit[1]) * cut.waist_at])
    hem = np.array([cut.hem * wide, low])
    line = [shoulder]
    if not cut.sleeve:
        inward = min(cut.shoulder, 0.85) * wide
        line.append(np.array([inward, (shoulder[1] + armpit[1]) * 0.5]))
        line.append(np.array([(inward + armpit[0]) / 2, armpit[1] - 0.12]))
    line += [armpit, *eased(armpit, waist), waist, *eased(waist, hem), hem]
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


def _sleeve(rng: Generator, cut: _Upper, shoulder: Line, armpit: Line) -> tuple[Line, Line]:
    """Return the polygon of a sleeve and the middle of the cuff."""
    long = cut.long
    angle = cut.angle + math.radians(rng.normal(0, 8))
    bend = angle + math.radians(rng.normal(0, 14)) if long else angle
    if long and chance(rng, 0.1):
        bend = -math.radians(between(rng, 15, 80))
    root = (shoulder + armpit) / 2
    half = float(np.hypot(*(armpit - shoulder))) / 2
    cuff = between(rng, 0.16, 0.36) if long else half * between(rng, 0.5, 1.0)
    middle = (half * 0.8 + cuff) / 2 * between(rng, 0.85, 1.3)
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
    """Return the unit vector of an angle in radians: 0 is straight down, π/2 straight outward."""
    return np.array([math.sin(angle), math.cos(angle)])


def _neckline(rng: Generator, pattern: Pattern, cut: _Upper) -> Line:
    """Return the upper edge from the right to the left end of the neck.

    Add the landmark of the neck to ``pattern``.
    """
    neck, style = cut.neck, rng.random()
    front = between(rng, 0.05, 0.9) * min(1.0, 0.4 + neck)
    if style < 0.35:  # without the back of the neckline
        edge = [(-neck, 0.0), (-0.6 * neck, front * 0.7), (0.0, front), (0.6 * neck, front * 0.7)]
    elif style < 0.7:  # the back of the neckline fills the opening
        back = between(rng, -0.08, 0.15)
        edge = [(-neck, 0.0), (-0.5 * neck, back * 0.8), (0.0, back), (0.5 * neck, back * 0.8)]
    else:  # a collar or a hood above the shoulders
        high = between(rng, 0.3, 1.0) if chance(rng, 0.2) else between(rng, 0.04, 0.35)
        narrow = neck * between(rng, 0.65, 1.05)
        notch = high * between(rng, -0.15, 0.4)
        edge = [(-neck, 0.0), (-narrow, -high), (0.0, notch - high), (narrow, -high)]
        front = -high + notch if chance(rng, 0.2) else between(rng, -0.05, 0.45)
    pattern.points["neck"] = (0.0, front)
    return np.array([*edge, (neck, 0.0)])
