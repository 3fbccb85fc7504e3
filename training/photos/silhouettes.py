"""Masks of people's photos for the mask network to learn from: GrabCut's, where it is sure."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.photos.data import SIZE, Photos
from training.photos.silhouette import find_silhouette

SURE = 0.6


def silhouettes(photos: Photos, places: NDArray[np.intp], cache: Path) -> NDArray[np.uint8]:
    """The photos at ``places`` whose silhouette is sure, (n, SIZE, SIZE, 4), it as their alpha."""
    path = cache / f"silhouettes-{SIZE}-{len(places)}.npy"
    if not path.is_file():
        found = []
        for place in places:
            photo = np.ascontiguousarray(photos.pixels[place, ..., :3])
            silhouette = find_silhouette(photo)
            if silhouette is not None and silhouette.confidence >= SURE:
                found.append(np.dstack([photo, silhouette.mask.astype(np.uint8) * 255]))
        np.save(path, np.stack(found))
    loaded: NDArray[np.uint8] = np.load(path)
    return loaded
