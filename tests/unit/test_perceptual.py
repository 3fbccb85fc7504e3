"""The perceptual hash: a small distance between similar pictures, a large one between others."""

from __future__ import annotations

import io

from PIL import Image

from agents.vision.images.picture import perceptual_hash
from tests.garments import dress, jpeg, trousers, tshirt


def distance(one: Image.Image, other: Image.Image) -> int:
    return (int(perceptual_hash(one), 16) ^ int(perceptual_hash(other), 16)).bit_count()


def test_is_16_hex_digits() -> None:
    value = perceptual_hash(tshirt())
    assert len(value) == 16
    assert int(value, 16)


def test_scaling_and_compression_change_few_bits() -> None:
    shirt = tshirt((480, 640))
    assert distance(shirt, shirt.resize((240, 320))) <= 6
    assert distance(shirt, Image.open(io.BytesIO(jpeg(shirt, quality=30)))) <= 6


def test_different_garments_have_distant_hashes() -> None:
    assert distance(tshirt(), trousers()) >= 12
    assert distance(tshirt(), dress()) >= 8
