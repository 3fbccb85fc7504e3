"""The prediction for one photo: plain values, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.vision.text.naming import Thresholds

if TYPE_CHECKING:
    from agents.vision.text.titles import Title

Ranking = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class SoftMask:
    """The probability of "garment or wearer" per pixel: ``size`` x ``size`` bytes, 0-255, row by
    row.

    The square is the whole photo without its aspect ratio.
    """

    size: int
    shares: bytes

    def to(self, width: int, height: int) -> NDArray[np.float32]:
        """Return the mask at a photo's shape: (height, width) in 0-1."""
        square = np.frombuffer(self.shares, np.uint8).reshape(self.size, self.size)
        scaled = square.astype(np.float32) / 255
        return np.asarray(cv2.resize(scaled, (width, height), interpolation=cv2.INTER_CUBIC))


@dataclass(frozen=True)
class Found:
    """One of several garments of a photo.

    ``part`` is its kind (`agents.vision.networks.parts.PARTS`), ``share`` the kind's probability,
    ``box`` left, top, right, bottom in 0-1 of the photo. ``colours`` are the colours nearest to its
    pixels, with their shares.
    """

    part: str
    share: float
    box: tuple[float, float, float, float]
    colours: Ranking = ()


@dataclass(frozen=True)
class Prediction:
    """The prediction for one photo.

    Each ranking holds a whole vocabulary with calibrated probabilities, best first, that sum to at
    most 1; words of equal probability are in alphabetical order. ``titles`` are the most likely
    titles, best first. ``measured`` are the colours nearest to the pixels under the mask, with
    their shares. ``embedding`` is a vector of length 1; similar photos have similar vectors.
    ``thresholds`` are the model's: the probabilities at which a caption names a word. ``items`` are
    the garments, the main one first. All fields but ``items`` describe the whole photo.
    """

    types: Ranking
    colours: Ranking
    genders: Ranking
    patterns: Ranking = ()
    sleeves: Ranking = ()
    necklines: Ranking = ()
    titles: tuple[Title, ...] = ()
    mask: SoftMask | None = None
    measured: Ranking = ()
    embedding: tuple[float, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    items: tuple[Found, ...] = ()


def ranking(words: Sequence[str], shares: Sequence[float]) -> Ranking:
    """Return words and their shares, largest first, rounded down so that the sum is at most 1."""
    floored = ((word, int(share * 1e6) / 1e6) for word, share in zip(words, shares, strict=True))
    return tuple(sorted(floored, key=lambda pair: (-pair[1], pair[0])))
