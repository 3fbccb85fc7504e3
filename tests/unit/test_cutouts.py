"""Studio photos are cut out by their white surroundings. Photos without them get no mask."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from training.photos.cutouts import product_mask, soft_alpha

SIDE = 144


def studio(fill: str, ground: str = "white") -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), ground)
    ImageDraw.Draw(picture).rectangle((30, 20, 90, 110), fill=fill)
    return picture


def test_the_product_is_found_with_the_white_inside_it() -> None:
    picture = studio("navy")
    ImageDraw.Draw(picture).rectangle((55, 55, 58, 58), fill="white")
    mask = product_mask(np.asarray(picture))
    assert mask is not None
    assert mask[60, 40]
    assert mask[56, 56]
    assert not mask[5, 5]
    assert not mask[130, 60]


def test_a_photo_without_white_surroundings_gets_no_mask() -> None:
    assert product_mask(np.asarray(studio("navy", "tan"))) is None
    assert product_mask(np.full((SIDE, SIDE, 3), 255, np.uint8)) is None


def test_alpha_is_reduced_at_the_outline() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[20:110, 30:90] = True
    alpha = soft_alpha(mask, SIDE)
    assert alpha.shape == (SIDE, SIDE)
    assert alpha[60, 60] == 255
    assert alpha[5, 5] == 0
    assert 0 <= alpha[60, 30] < 255
