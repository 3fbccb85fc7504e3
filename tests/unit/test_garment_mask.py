"""The network's small soft mask becomes the garment's outline at the photo's size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from agents.vision.geometry.garment_mask import find_garment
from agents.vision.networks.prediction import SoftMask

SIDE = 128


def photo(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a photo of a dark square on a light background, and the square's mask."""
    picture = Image.new("RGB", (width, height), (230, 225, 215))
    box = (width // 4, height // 4, width * 3 // 4, height * 3 // 4)
    ImageDraw.Draw(picture).rectangle(box, fill=(40, 30, 90))
    truth = Image.new("L", (width, height), 0)
    ImageDraw.Draw(truth).rectangle(box, fill=255)
    return np.asarray(picture), np.asarray(truth) > 0


def soft(truth: np.ndarray, blur: bool = True) -> SoftMask:
    small = Image.fromarray((truth * 255).astype(np.uint8)).resize((SIDE, SIDE))
    shares = np.asarray(small if not blur else small.resize((32, 32)).resize((SIDE, SIDE)))
    return SoftMask(SIDE, shares.astype(np.uint8).tobytes())


@pytest.mark.parametrize("size", [(600, 800), (1024, 500), (90, 70)])
def test_the_outline_follows_the_picture(size: tuple[int, int]) -> None:
    picture, truth = photo(*size)
    found = find_garment(picture, soft(truth))
    assert found is not None
    assert found.mask.shape == found.alpha.shape == truth.shape
    both = (found.mask & truth).sum() / (found.mask | truth).sum()
    assert both > 0.92
    assert found.confidence > 0.7


def test_small_distant_areas_are_removed() -> None:
    picture, truth = photo(400, 400)
    speckled = truth.copy()
    speckled[5:25, 5:25] = True
    found = find_garment(picture, soft(speckled, blur=False))
    assert found is not None
    assert not found.mask[:40, :40].any()


@pytest.mark.parametrize("level", [0, 126])
def test_an_undecided_mask_gives_no_mask(level: int) -> None:
    picture, _ = photo(200, 200)
    assert find_garment(picture, SoftMask(SIDE, bytes([level]) * SIDE * SIDE)) is None


def test_a_picture_of_a_few_pixels_may_have_no_garment() -> None:
    for size in [(8, 8), (17, 40), (2, 40)]:
        picture, truth = photo(*size)
        found = find_garment(picture, soft(truth))
        assert found is None or found.mask.any()
