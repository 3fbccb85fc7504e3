"""The mask of a drawn garment. A photo without a garment gets no mask."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from agents.vision.geometry.landmarks import Mask
from tests.garments import dress, noise, textured, trousers, tshirt
from training.photos.silhouette import find_silhouette


def overlap(found: Mask, drawn: Image.Image) -> float:
    truth = np.asarray(drawn.convert("L")) < 128
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("garment", [tshirt, trousers, dress])
@pytest.mark.parametrize("ground", ["plain", "boards"])
def test_finds_a_garment_on_the_floor(garment: object, ground: str) -> None:
    assert callable(garment)
    background = "whitesmoke" if ground == "plain" else textured((360, 480))
    picture = garment((360, 480), background=background)
    found = find_silhouette(np.asarray(picture))
    assert found is not None
    assert found.mask.shape == (480, 360)
    assert overlap(found.mask, garment((360, 480), "black", "white")) > 0.93
    assert found.confidence > 0.5


@pytest.mark.parametrize("size", [(1024, 640), (64, 64), (200, 900)])
def test_works_at_any_size(size: tuple[int, int]) -> None:
    found = find_silhouette(np.asarray(tshirt(size)))
    assert found is not None
    assert found.mask.shape == (size[1], size[0])


def test_gives_the_same_mask_every_time() -> None:
    picture = np.asarray(tshirt(background=textured()))
    first, second = find_silhouette(picture), find_silhouette(picture)
    assert first is not None
    assert second is not None
    assert (first.mask == second.mask).all()


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGB", (300, 400), "white"),
        Image.new("RGB", (300, 400), "black"),
        textured((300, 400)),
        noise((300, 400), 60),
        Image.linear_gradient("L").resize((300, 400)).convert("RGB"),
        Image.new("RGB", (1, 1), "red"),
        Image.new("RGB", (3, 700), "red"),
    ],
    ids=["white", "black", "floor", "noise", "gradient", "1x1", "3x700"],
)
def test_a_photo_without_a_garment_gives_none(picture: Image.Image) -> None:
    assert find_silhouette(np.asarray(picture)) is None
