"""Landmarks on the masks of drawn garments, whose points are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import Image

from agents.vision.geometry.landmarks import OF_KIND, LandmarkFinder, Landmarks, Mask
from agents.vision.text.kinds import KINDS, Kind
from tests.garments import dress, hat, shoe, skirt, tank_top, trousers, tshirt

Drawing = Callable[[tuple[int, int], str, str], Image.Image]
Places = dict[str, tuple[float, float]]

SIZE = (240, 320)
FABRIC = {"fabric_top_left", "fabric_bottom_right"}
TSHIRT = {
    "neck": (0.5, 0.17), "left_shoulder": (0.7, 0.13), "left_armpit": (0.71, 0.37),
    "left_sleeve_end": (0.875, 0.38), "left_hem": (0.72, 0.9),
}  # fmt: skip
TANK_TOP = {
    "neck": (0.5, 0.22), "left_shoulder": (0.68, 0.12), "left_armpit": (0.76, 0.33),
    "left_hem": (0.76, 0.9),
}  # fmt: skip
DRESS = {
    "neck": (0.5, 0.15), "left_shoulder": (0.62, 0.05), "left_armpit": (0.65, 0.26),
    "left_waist": (0.61, 0.42), "left_hem": (0.78, 0.94),
}  # fmt: skip
TROUSERS = {"left_waist": (0.67, 0.06), "left_hem": (0.655, 0.95)}
SKIRT = {"left_waist": (0.65, 0.15), "left_hem": (0.88, 0.82)}
GARMENTS: list[tuple[Drawing, Kind, Places]] = [
    (tshirt, "top", TSHIRT),
    (tank_top, "top", TANK_TOP),
    (dress, "dress", DRESS),
    (trousers, "bottoms", TROUSERS),
    (skirt, "skirt", SKIRT),
]


@cache
def finder() -> LandmarkFinder:
    return LandmarkFinder.load()


def mask_of(picture: Image.Image) -> Mask:
    return np.asarray(picture.convert("L")) < 128


def marks_of(garment: Drawing, kind: Kind | None = None, size: tuple[int, int] = SIZE) -> Landmarks:
    return finder().find(mask_of(garment(size, "black", "white")), kind)


def both_sides(places: Places) -> Places:
    """Return the points and their mirror images, for garments that are drawn symmetrically."""
    others = {
        name.replace("left", "right"): (1 - x, y)
        for name, (x, y) in places.items()
        if name.startswith("left")
    }
    return {**places, **others}


def diagonals_off(marks: Landmarks, places: Places, size: tuple[int, int]) -> dict[str, float]:
    """Return each point's distance from its place, in diagonals of the garment's box."""
    width, height = size
    left, top, right, bottom = marks.box
    diagonal = math.hypot((right - left) * width, (bottom - top) * height)
    return {
        name: math.hypot((marks.points[name][0] - x) * width, (marks.points[name][1] - y) * height)
        / diagonal
        for name, (x, y) in places.items()
    }


@pytest.mark.parametrize(("garment", "kind", "places"), GARMENTS)
def test_every_point_of_a_garment_is_found_where_it_was_drawn(
    garment: Drawing, kind: Kind, places: Places
) -> None:
    marks, places = marks_of(garment, kind), both_sides(places)
    middle = set() if kind == "bottoms" else {"hem"}
    assert set(marks.points) == {*places, *middle, *FABRIC}
    assert max(diagonals_off(marks, places, SIZE).values()) < 0.08


@pytest.mark.parametrize(("garment", "kind", "places"), GARMENTS)
def test_without_its_kind_a_garment_has_the_same_points(
    garment: Drawing, kind: Kind, places: Places
) -> None:
    marks, places = marks_of(garment), both_sides(places)
    assert max(diagonals_off(marks, places, SIZE).values()) < 0.08
    upper, legs = {"neck", "left_shoulder", "left_sleeve_end"}, kind == "bottoms"
    assert ("hem" in marks.points) != legs
    assert marks.points.keys() & upper == places.keys() & upper


@pytest.mark.parametrize("size", [(240, 320), (768, 1024), (320, 320), (400, 250)])
def test_the_pictures_size_and_shape_change_nothing(size: tuple[int, int]) -> None:
    marks = marks_of(tshirt, size=size)
    assert marks.box == pytest.approx((0.07, 0.10, 0.93, 0.90), abs=0.015)
    assert max(diagonals_off(marks, both_sides(TSHIRT), size).values()) < 0.08


def test_the_hem_is_halfway_between_its_corners() -> None:
    points = marks_of(skirt).points
    assert points["hem"][:2] == pytest.approx((0.5, 0.82), abs=0.03)


def test_left_is_the_wearers() -> None:
    points = marks_of(tshirt).points
    for name in ("shoulder", "armpit", "sleeve_end", "hem"):
        assert points[f"left_{name}"][0] > 0.5 > points[f"right_{name}"][0]


@pytest.mark.parametrize("garment", [tshirt, dress, trousers])
def test_a_mirror_image_has_the_same_points_mirrored(garment: Drawing) -> None:
    mask = mask_of(garment(SIZE, "black", "white"))
    mask[200:, :120] = False
    seen, mirrored = finder().find(mask), finder().find(mask[:, ::-1])
    for name in set(seen.points) - FABRIC:
        x, y, sure = mirrored.points[_twin(name)]
        assert seen.points[name] == pytest.approx((1 - x, y, sure), abs=0.01)


def _twin(name: str) -> str:
    other = {"left": "right", "right": "left"}
    return "_".join(other.get(part, part) for part in name.split("_"))


@pytest.mark.parametrize("thing", [hat, shoe])
def test_hats_and_shoes_have_no_landmarks(thing: Drawing) -> None:
    assert set(marks_of(thing).points) == FABRIC


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_no_points_of_others(kind: Kind) -> None:
    named = set(marks_of(tshirt, kind).points) - FABRIC - {"hem"}
    assert named <= OF_KIND[kind]


@pytest.mark.parametrize("garment", [tshirt, trousers, dress])
def test_the_fabric_lies_inside(garment: Drawing) -> None:
    mask = mask_of(garment(SIZE, "black", "white"))
    points = finder().find(mask).points
    left, top, _ = points["fabric_top_left"]
    right, bottom, _ = points["fabric_bottom_right"]
    piece = mask[round(top * 320) + 3 : round(bottom * 320) - 3,
                 round(left * 240) + 3 : round(right * 240) - 3]  # fmt: skip
    assert piece.size > 1000
    assert piece.all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (9, 300), (3, 2000)])
def test_any_mask_is_accepted(shape: tuple[int, int]) -> None:
    marks = finder().find(np.ones(shape, bool))
    assert marks.box == (0.0, 0.0, 1.0, 1.0)
    for x, y, confidence in marks.points.values():
        assert np.isfinite([x, y]).all()
        assert 0 <= confidence <= 1


def test_the_box_of_a_one_pixel_mask_contains_the_pixel() -> None:
    mask = np.zeros((900, 700), bool)
    mask[501, 333] = True
    left, top, right, bottom = finder().find(mask).box
    assert left <= 333 / 700 <= right
    assert top <= 501 / 900 <= bottom
