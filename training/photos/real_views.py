"""Augmentation of batches of real-world examples for training.

Studio photos keep the white surroundings or get other backgrounds, as in `training.photos.augment`.
Garments with a mask stay in the photo or get other backgrounds. Outfits and photos without a
garment keep the background and are cropped less. The light changes least on studio photos.
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
    """Training input (n, 3, size, size) in 0-1: views of ``studio``, then ``cut``, then ``plain``.

    All inputs are (n, h, w, 4) bytes. The alpha of ``cut`` is the garment's mask. Each studio photo
    keeps its white surroundings with probability ``keep``. ``lamps`` multiplies the change of light
    on studio photos.
    """
    garments, others = float_planes(cut), float_planes(plain)
    scenes = torch.cat([garments, others])
    made, kept = studio_views(float_planes(studio), scenes, size, keep)
    views = torch.cat([made, _in_place_or_moved(garments, scenes, size), _whole(others, size)])
    studio_change = torch.where(kept, STUDIO_LAMPS, MADE_UP_LAMPS) * lamps
    views = relit(views, torch.cat([studio_change, torch.ones(len(scenes))]))
    return jpeg_noise(blurred(views)).clamp_(0, 1)


def _in_place_or_moved(garments: Tensor, scenes: Tensor, size: int) -> Tensor:
    """Views of garments in the photo, or with probability `CUT_OUT` on other backgrounds.

    A garment with a very small or very large mask always stays in the photo.
    """
    shown = garments[:, 3].mean(dim=(1, 2))
    able = (shown > LEAST_SHOWN) & (shown < MOST_SHOWN)
    moved = torch.nonzero((torch.rand(len(garments)) < CUT_OUT) & able).flatten()
    views = photographed(garments, size)
    if len(moved):
        nowhere = torch.zeros(len(moved), 1, 1, dtype=torch.bool)
        views[moved] = composed(garments[moved].clone(), scenes, size, nowhere)[0]
    return views


def _whole(photos: Tensor, size: int) -> Tensor:
    """Views of photos with little cropping and rotation."""
    return placed(photos[:, :3], size, (0.75, 1.1), math.radians(10), "reflection")
