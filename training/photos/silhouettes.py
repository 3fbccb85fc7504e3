"""Masks of people's photos to train the mask network: GrabCut masks of high confidence."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.photos.data import SIZE, Photos
from training.photos.silhouette import find_silhouette

SURE = 0.6


def silhouettes(photos: Photos, places: NDArray[np.intp], cache: Path) -> NDArray[np.uint8]:
    """The photos at ``places`` with a silhouette of confidence `SURE` or more, (n, SIZE, SIZE, 4).

    Alpha is the silhouette. The first call writes a file in ``cache``; later calls with the same
    number of places read the file. Raises ValueError if no photo has such a silhouette.
    """
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
