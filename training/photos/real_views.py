"""Random views of real-world examples for training, whole batches at a time.

Studio photos stay on white or go to other grounds, as in `training.photos.augment`. People's photos
and worn garments stay in their photo, or their cut-outs go to other grounds. Outfits and photos of
no garment stay as they are. The light changes the most on people's photos.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.photos.augment import (
    MADE_UP_LAMPS,
    STUDIO_LAMPS,
    blurred,
    composed,
    float_planes,
    jpeg_noise,
    photographed,
    placed,
    relit,
    studio_views,
)

CUT_OUT, LEAST_SHOWN, MOST_SHOWN = 0.3, 0.04, 0.9


def real_views(
    studio: Tensor, cut: Tensor, plain: Tensor, size: int, keep: float, lamps: float
) -> Tensor:
    """Training input (n, 3, size, size) in 0-1: studio photos, then those with a mask, then others.

    All are (n, h, w, 4) bytes. ``cut`` has the garment's mask as alpha. The share ``keep`` of the
    studio photos stays on white; ``lamps`` is how much of the usual change a studio photo's light
    has.
    """
    garments, others = float_planes(cut), float_planes(plain)
    scenes = torch.cat([garments, others])
    made, kept = studio_views(float_planes(studio), scenes, size, keep)
    views = torch.cat([made, _in_place_or_moved(garments, scenes, size), _whole(others, size)])
    studio_change = torch.where(kept, STUDIO_LAMPS, MADE_UP_LAMPS) * lamps
    views = relit(views, torch.cat([studio_change, torch.ones(len(scenes))]))
    return jpeg_noise(blurred(views)).clamp_(0, 1)


def _in_place_or_moved(garments: Tensor, scenes: Tensor, size: int) -> Tensor:
    """Views of garments in their own photo; the share `CUT_OUT` on other grounds."""
    shown = garments[:, 3].mean(dim=(1, 2))
    able = (shown > LEAST_SHOWN) & (shown < MOST_SHOWN)
    moved = torch.nonzero((torch.rand(len(garments)) < CUT_OUT) & able).flatten()
    views = photographed(garments, size)
    if len(moved):
        nowhere = torch.zeros(len(moved), 1, 1, dtype=torch.bool)
        views[moved] = composed(garments[moved].clone(), scenes, size, nowhere)[0]
    return views


def _whole(photos: Tensor, size: int) -> Tensor:
    """Views of whole photos, cropped and turned a little only."""
    return placed(photos[:, :3], size, (0.75, 1.1), math.radians(10), "reflection")
