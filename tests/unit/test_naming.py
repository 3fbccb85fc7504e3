"""Captions name the narrowest word that is certain enough, and only attributes of the type."""

import json

import pytest

from agents.vision.text.garments import (
    MEMBERS,
    NOTHING,
    above,
    below,
    can_have,
    every_word,
    implied_wearer,
)
from agents.vision.text.naming import Thresholds, named, named_colour, named_type, named_wearer

AT = Thresholds(type=0.6, colour=0.5, kids=0.6, adult=0.1)


@pytest.mark.parametrize(
    ("types", "word"),
    [
        ({"polo shirt": 0.7}, "polo shirt"),
        ({"polo shirt": 0.4, "t-shirt": 0.3}, "t-shirt"),
        ({"polo shirt": 0.4, "shirt": 0.3}, "top"),
        ({"polo shirt": 0.4, "jeans": 0.3}, None),
        ({"polo shirt": 0.3, NOTHING: 0.4, "t-shirt": 0.3}, "t-shirt"),
        ({"watch": 0.5}, None),
        ({}, None),
    ],
)
def test_the_narrowest_certain_type_is_named(types: dict[str, float], word: str | None) -> None:
    assert named_type(types, AT.type)[0] == word


def test_shades_are_added_up_in_their_broader_colour() -> None:
    assert named_colour({"navy blue": 0.3, "blue": 0.25, "red": 0.45}, 0.5)[0] is None
    assert named_colour({"navy blue": 0.35, "blue": 0.25, "red": 0.3}, 0.5) == ("blue", 0.6)


@pytest.mark.parametrize(
    ("type_", "genders", "wearer"),
    [
        ("dress", {"women": 0.95, "girls": 0.05}, "women"),
        ("dress", {"women": 0.8, "girls": 0.2}, None),
        ("t-shirt", {"men": 1.0}, None),
        ("t-shirt", {"boys": 0.7}, "boys"),
        ("t-shirt", {"boys": 0.35, "girls": 0.35}, "kids"),
        ("bodysuit", {"baby": 0.9}, "baby"),
        (None, {"women": 1.0}, None),
        ("dress", {}, None),
    ],
)
def test_a_wearer_is_named_only_with_evidence(
    type_: str | None, genders: dict[str, float], wearer: str | None
) -> None:
    assert named_wearer(type_, genders, AT) == wearer


def test_attributes_that_a_type_cannot_have_are_left_out() -> None:
    shares = {
        "type": {"trousers": 0.9},
        "colour": {"red": 0.9},
        "gender": {},
        "pattern": {"striped": 0.9},
        "sleeve": {"long": 0.99},
        "neckline": {"hood": 0.99},
    }
    assert named(shares, AT).details == (("pattern", "striped"),)


def test_no_garment_is_a_result_to_check() -> None:
    found = named({"type": {NOTHING: 0.6, "dress": 0.4}, "colour": {}, "gender": {}}, AT)
    assert found.is_nothing
    assert found.review == {"type"}


def test_thresholds_round_trip_through_json() -> None:
    assert Thresholds(**json.loads(AT.to_json())) == AT


@pytest.mark.parametrize("word", every_word())
def test_the_hierarchy_has_no_loop(word: str) -> None:
    assert word not in above(word)
    assert all(word in below(broad) for broad in above(word))


@pytest.mark.parametrize("word", sorted(below("bottoms") | below("footwear") | below("headwear")))
def test_bottoms_shoes_and_hats_have_neither_sleeves_nor_necklines(word: str) -> None:
    assert not can_have(word) & {"sleeve", "neckline"}


def test_a_type_implies_the_wearer_of_at_most_one_kind() -> None:
    assert {implied_wearer(word) for word in MEMBERS} <= {None, "women", "men"}
