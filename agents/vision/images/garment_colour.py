"""Measure colours on the garment's pixels, to check the network's prediction."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.vision.networks.prediction import Ranking

Named = dict[str, tuple[float, float, float]]
"""The CIELAB value of each colour word: L* in 0-100, a* and b* around 0."""

_STEP = 2
_MULTICOLOUR = {"multicolour", "metallic"}


def to_lab(photo: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert sRGB (h, w, 3) in 0-1 to CIELAB under D65."""
    return np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2LAB), np.float32)


def measured_colours(
    photo: NDArray[np.float32], mask: NDArray[np.bool_], named: Named, step: int = _STEP
) -> Ranking:
    """Return the colour words nearest to the pixels under the mask, with their shares.

    ``photo`` is RGB (h, w, 3) in 0-1, ``mask`` (h, w); each ``step``-th row and column counts. The
    distance is CIE76. Words under 5 % are left out. An empty mask gives no words.
    """
    pixels = to_lab(np.ascontiguousarray(photo[::step, ::step]))[mask[::step, ::step]]
    words = [word for word in named if word not in _MULTICOLOUR]
    if not len(pixels) or not words:
        return ()
    places = np.array([named[word] for word in words], np.float32)
    apart = ((pixels[:, None] - places[None]) ** 2).sum(axis=2)
    counts = np.bincount(apart.argmin(axis=1), minlength=len(words)) / len(pixels)
    shares = [(word, round(float(share), 4)) for word, share in zip(words, counts, strict=True)]
    return tuple(sorted((pair for pair in shares if pair[1] >= 0.05), key=lambda p: (-p[1], p[0])))
