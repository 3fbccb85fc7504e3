"""Measures the CIELAB value of each colour word on studio cut-outs with that label."""

import numpy as np
from numpy.typing import NDArray

from agents.vision.images.garment_colour import to_lab
from training.photos.data import Photos

MOST = 150
Place = tuple[float, float, float]


def colour_places(photos: Photos, words: tuple[str, ...]) -> dict[str, Place]:
    """Return for each word the median, over its photos, of the cut-out's median colour."""
    found: dict[str, Place] = {}
    for word in words:
        chosen = [i for i, e in enumerate(photos.examples) if e.colour == word and not e.held_out]
        medians = [m for i in chosen[:MOST] if (m := _median(photos.pixels[i])) is not None]
        if medians:
            lightness, a, b = np.median(np.stack(medians), axis=0)
            found[word] = (round(float(lightness), 1), round(float(a), 1), round(float(b), 1))
    return found


def _median(photo: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Return the median colour of a cut-out's middle, which mostly excludes heads and shoes."""
    side = len(photo)
    middle = photo[side // 4 : side * 3 // 4, side // 4 : side * 3 // 4]
    pixels = to_lab(middle[..., :3].astype(np.float32) / 255)[middle[..., 3] > 200]
    return np.median(pixels, axis=0).astype(np.float32) if len(pixels) > 50 else None
