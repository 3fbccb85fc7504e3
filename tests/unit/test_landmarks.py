"""Landmarks read off masks whose answers are known, since they were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from agents.vision.landmarks import Landmarks, find_landmarks
from agents.vision.outline import Mask
from tests.garments import dress, trousers, tshirt

UPPER = {"neck", "left_shoulder", "right_shoulder"}
SLEEVES = {"left_sleeve_end", "right_sleeve_end"}
HEM = {"hem", "left_hem", "right_hem"}
FABRIC = {"fabric_top_left", "fabric_bottom_right"}


def mask_of(picture: Image.Image) -> Mask:
    return np.asarray(picture.convert("L")) < 128


def marks_of(picture: Image.Image) -> Landmarks:
    return find_landmarks(mask_of(picture))


@pytest.mark.parametrize("size", [(240, 320), (768, 1024), (320, 320)])
def test_a_tshirt_has_all_of_them(size: tuple[int, int]) -> None:
    marks = marks_of(tshirt(size, "black", "white"))
    assert set(marks.points) == UPPER | SLEEVES | HEM | FABRIC
    assert marks.box == pytest.approx((0.07, 0.10, 0.93, 0.90), abs=0.015)
    assert marks.points["neck"][:2] == pytest.approx((0.5, 0.17), abs=0.03)
    assert marks.points["hem"][:2] == pytest.approx((0.5, 0.90), abs=0.02)
    assert marks.points["left_sleeve_end"][:2] == pytest.approx((0.85, 0.39), abs=0.05)
    assert marks.points["right_sleeve_end"][:2] == pytest.approx((0.15, 0.39), abs=0.05)
    assert marks.points["left_shoulder"][:2] == pytest.approx((0.71, 0.13), abs=0.04)


def test_left_is_the_wearers() -> None:
    points = marks_of(tshirt(colour="black", background="white")).points
    assert points["left_shoulder"][0] > 0.5 > points["right_shoulder"][0]


def test_trousers_have_no_neck_no_sleeves_and_no_hem() -> None:
    assert set(marks_of(trousers(colour="black", background="white")).points) == FABRIC


def test_a_sleeveless_dress_has_a_neck_and_a_hem_but_no_sleeves() -> None:
    points = marks_of(dress(colour="black", background="white")).points
    assert set(points) == UPPER | HEM | FABRIC
    assert points["hem"][:2] == pytest.approx((0.5, 0.94), abs=0.02)


def test_a_skirt_has_a_hem_only() -> None:
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).polygon([(100, 50), (200, 50), (250, 250), (50, 250)], fill=0)
    assert set(marks_of(picture).points) == HEM | FABRIC


def test_a_hat_has_neither() -> None:
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).ellipse((50, 60, 250, 240), fill=0)
    assert set(marks_of(picture).points) == FABRIC


def test_a_shoe_has_neither() -> None:
    picture = Image.new("L", (300, 200), 255)
    shoe = [(30, 60), (90, 50), (130, 110), (270, 140), (280, 170), (30, 170)]
    ImageDraw.Draw(picture).polygon(shoe, fill=0)
    assert set(marks_of(picture).points) == FABRIC


@pytest.mark.parametrize("garment", [tshirt, trousers, dress])
def test_the_fabric_lies_inside(garment: object) -> None:
    assert callable(garment)
    mask = mask_of(garment((240, 320), "black", "white"))
    points = find_landmarks(mask).points
    left, top, _ = points["fabric_top_left"]
    right, bottom, _ = points["fabric_bottom_right"]
    piece = mask[round(top * 320) + 3 : round(bottom * 320) - 3,
                 round(left * 240) + 3 : round(right * 240) - 3]  # fmt: skip
    assert piece.size > 1000
    assert piece.all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (9, 300)])
def test_stands_any_mask(shape: tuple[int, int]) -> None:
    marks = find_landmarks(np.ones(shape, bool))
    assert marks.box == (0.0, 0.0, 1.0, 1.0)
    for x, y, confidence in marks.points.values():
        assert np.isfinite([x, y]).all()
        assert 0 <= confidence <= 1
