"""Convert colours that a file tells by numbers (CICP, also called nclx) to sRGB.

The numbers are those of ITU-T H.273. HDR pictures (PQ, HLG) are toned down: diffuse white, 203
nits by ITU-R BT.2408, becomes sRGB white, and brighter highlights are compressed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from PIL import Image, ImageFilter

_SRGB, _PQ, _HLG = 13, 16, 18
_HLG_GAMMA = 1.2
_PRIMARIES = {
    # red, green and blue as x, y; the white of all is D65
    1: (0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
_WHITE = (0.3127, 0.3290)
_GRID = 33
_KNEE, _PEAK = 0.9, 1000 / 203
_ROOM = 1 - _KNEE
"""Linear values up to the knee stay as they are; the peak becomes 1. 1 is diffuse white."""

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]


def is_hdr(cicp: tuple[int, int]) -> bool:
    """Tell whether the transfer function is PQ or HLG, which no ICC profile of a file expresses."""
    return cicp[1] in (_PQ, _HLG)


def to_srgb(image: Image.Image, cicp: tuple[int, int]) -> Image.Image:
    """Convert an 8-bit RGB picture. Unknown numbers count as sRGB's.

    First a curve for each channel, then a table of all three channels. The curve is exact for grey,
    so the table has only differences of hue to interpolate.
    """
    primaries = cicp[0] if cicp[0] in _PRIMARIES else 1
    transfer = cicp[1] if cicp[1] in _LINEAR else _SRGB
    if transfer != _SRGB:
        image = image.point(_curve(transfer) * 3)
    return image if primaries == 1 else image.filter(_table(primaries, transfer))


@lru_cache(maxsize=8)
def _curve(transfer: int) -> list[int]:
    """Return the sRGB value for each of 256 stored values of one channel."""
    lights = [_LINEAR[transfer](value / 255) for value in range(256)]
    if transfer in (_PQ, _HLG):
        lights = [_toned_down(light) for light in lights]
    return [round(255 * min(_encoded(light), 1.0)) for light in lights]


@lru_cache(maxsize=8)
def _table(primaries: int, transfer: int) -> ImageFilter.Color3DLUT:
    """Return the table for pictures whose channels `_curve` has converted."""
    levels = [_from_srgb(step / (_GRID - 1)) for step in range(_GRID)]
    matrix = _product(_inverse(_to_xyz(1)), _to_xyz(primaries))

    def convert(red: float, green: float, blue: float) -> Vector:
        one, two, three = (levels[round(part * (_GRID - 1))] for part in (red, green, blue))
        light = _displayed((one, two, three)) if transfer == _HLG else (one, two, three)
        one, two, three = (_encoded(_dot(row, light)) for row in matrix)
        return one, two, three

    return ImageFilter.Color3DLUT.generate(_GRID, convert)


def _toned_down(light: float) -> float:
    """Compress highlights (Reinhard et al. 2002, with white at the peak)."""
    if light <= _KNEE:
        return light
    over, peak = (light - _KNEE) / _ROOM, (_PEAK - _KNEE) / _ROOM
    return _KNEE + _ROOM * min(over * (1 + over / peak**2) / (1 + over), 1.0)


def _displayed(light: Vector) -> Vector:
    """Apply HLG's gamma to the luminance (ITU-R BT.2100) instead of each channel."""
    one, two, three = ((part / _PEAK) ** (1 / _HLG_GAMMA) for part in light)
    luminance = _dot((0.2627, 0.6780, 0.0593), (one, two, three))
    gain = luminance ** (_HLG_GAMMA - 1) * _PEAK
    return one * gain, two * gain, three * gain


def _from_pq(value: float) -> float:
    """Return display light by SMPTE ST 2084, 1 = 203 nits."""
    root = value ** (1 / 78.84375)
    light = (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return float(light * 10_000 / 203)


def _from_hlg(value: float) -> float:
    """Return display light of one channel by ITU-R BT.2100 at 1,000 nits, 1 = 203 nits."""
    scene = value * value / 3
    if value > 0.5:
        scene = (math.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return float(scene**_HLG_GAMMA * _PEAK)


def _from_srgb(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _encoded(light: float) -> float:
    """Return the sRGB value of linear light.

    Values outside 0–1 are colours that sRGB cannot show. They are clipped after the interpolation
    between the table's entries.
    """
    if light < 0:
        return -_encoded(-light)
    return light * 12.92 if light <= 0.0031308 else float(1.055 * light ** (1 / 2.4) - 0.055)


_LINEAR: dict[int, Callable[[float], float]] = {
    4: lambda value: value**2.2,
    5: lambda value: value**2.8,
    8: lambda value: value,
    _SRGB: _from_srgb,
    _PQ: _from_pq,
    _HLG: _from_hlg,
}
"""From a value in 0–1 to linear light. Viewers show BT.709's and BT.601's transfer as sRGB's."""


def _to_xyz(primaries: int) -> Matrix:
    """Return the matrix from linear RGB with these primaries to CIE XYZ."""
    red_x, red_y, green_x, green_y, blue_x, blue_y = _PRIMARIES[primaries]
    columns = [_xyz(red_x, red_y), _xyz(green_x, green_y), _xyz(blue_x, blue_y)]
    plain = _columns(columns)
    inverse = _inverse(plain)
    white = _xyz(*_WHITE)
    scales = [_dot(row, white) for row in inverse]
    return _columns(
        [
            (x * scale, y * scale, z * scale)
            for (x, y, z), scale in zip(columns, scales, strict=True)
        ]
    )


def _xyz(x: float, y: float) -> Vector:
    return x / y, 1.0, (1 - x - y) / y


def _columns(columns: Sequence[Vector]) -> Matrix:
    one, two, three = zip(*columns, strict=True)
    return one, two, three


def _dot(one: Vector, other: Vector) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def _product(one: Matrix, other: Matrix) -> Matrix:
    turned = _columns(other)
    rows = [(_dot(row, turned[0]), _dot(row, turned[1]), _dot(row, turned[2])) for row in one]
    return rows[0], rows[1], rows[2]


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    size = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return (
        ((e * i - f * h) / size, (c * h - b * i) / size, (b * f - c * e) / size),
        ((f * g - d * i) / size, (a * i - c * g) / size, (c * d - a * f) / size),
        ((d * h - e * g) / size, (b * g - a * h) / size, (a * e - b * d) / size),
    )
