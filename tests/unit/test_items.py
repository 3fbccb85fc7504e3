"""The garments of a photo: their regions, their words, and the choice of the one to describe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.stages.classification import classified
from agents.stages.predictions import around
from agents.vision.geometry.items import garment_regions
from agents.vision.networks.parts import PARTS
from agents.vision.networks.prediction import Found, Prediction
from agents.vision.text.garments import NOTHING
from agents.vision.text.items import described_items, main_colour, main_first, narrowed
from agents.vision.text.vocabulary import Vocabulary
from streams.events.limits import ITEMS
from streams.events.models import ImageDownloaded, ImageSubmitted, Source, wanted_item

JOB = "01941f29-7c00-7000-8000-000000000001"
UPPER, LOWER = (0.2, 0.1, 0.8, 0.5), (0.25, 0.5, 0.75, 0.9)


def shares(places: dict[str, tuple[slice, slice]], sure: float = 0.9) -> Any:
    """Probabilities (parts, 40, 40): ``sure`` for a part at its place, background elsewhere."""
    found = np.full((len(PARTS), 40, 40), (1 - sure) / (len(PARTS) - 1), np.float32)
    found[0] = sure
    for part, place in places.items():
        found[(slice(None), *place)] = (1 - sure) / (len(PARTS) - 1)
        found[(PARTS.index(part), *place)] = sure
    return found


TOP, PANTS = (slice(4, 18), slice(8, 32)), (slice(20, 36), slice(14, 26))


def test_each_kind_of_garment_is_a_region_the_main_one_first() -> None:
    mask = np.zeros((40, 40), bool)
    mask[TOP] = mask[PANTS] = True
    found = garment_regions(PARTS, shares({"pants": PANTS, "top": TOP}), mask)
    assert [region.part for region in found] == ["top", "pants"]
    assert found[0].box == (8 / 40, 4 / 40, 32 / 40, 18 / 40)
    assert found[1].box == (14 / 40, 20 / 40, 26 / 40, 36 / 40)
    assert found[0].confidence == pytest.approx(0.9)


def test_an_uncertain_region_remains_only_if_it_is_the_most_prominent() -> None:
    mask = np.zeros((40, 40), bool)
    mask[TOP] = mask[PANTS] = True
    both = shares({"top": TOP, "pants": PANTS}, sure=0.5)
    assert [region.part for region in garment_regions(PARTS, both, mask)] == ["top"]
    both[:, PANTS[0], PANTS[1]] = shares({"pants": PANTS})[:, PANTS[0], PANTS[1]]
    assert [region.part for region in garment_regions(PARTS, both, mask)] == ["top", "pants"]


def test_two_shoes_are_one_region() -> None:
    mask = np.zeros((40, 40), bool)
    mask[30:36, 4:10] = mask[30:36, 30:36] = True
    place = (slice(30, 36), slice(0, 40))
    (shoes,) = garment_regions(PARTS, shares({"shoes": place}), mask)
    assert shoes.box == (4 / 40, 30 / 40, 36 / 40, 36 / 40)


@pytest.mark.parametrize(
    ("part", "place", "covered"),
    [
        ("top", TOP, (slice(0, 0), slice(0, 0))),
        ("top", TOP, (slice(4, 6), slice(8, 10))),
        ("wearer", TOP, TOP),
        ("other", TOP, TOP),
    ],
    ids=["nothing under the mask", "too small", "skin", "an accessory"],
)
def test_what_is_no_garment_is_no_region(part: str, place: Any, covered: Any) -> None:
    mask = np.zeros((40, 40), bool)
    mask[covered] = True
    assert garment_regions(PARTS, shares({part: place}), mask) == []


def seen(types: dict[str, float], *items: Found, **other: Any) -> Prediction:
    ranked = tuple(sorted(types.items(), key=lambda pair: -pair[1]))
    return Prediction(types=ranked, colours=(("red", 0.9),), genders=(), items=items, **other)


BLUE = (("navy blue", 0.5), ("blue", 0.3), ("black", 0.2))
OUTFIT = seen(
    {"jeans": 0.5, "shirt": 0.3, "coat": 0.1, "trousers": 0.1},
    Found("top", 0.9, UPPER, (("white", 0.8), ("grey", 0.2))),
    Found("pants", 0.8, LOWER, BLUE),
)


def test_each_garment_has_its_own_type_and_colour() -> None:
    top, pants = described_items(OUTFIT)
    assert (top.type, top.colour, top.box) == ("shirt", "white", UPPER)
    assert (pants.type, pants.colour, pants.box) == ("jeans", "blue", LOWER)
    assert pants.confidence == pytest.approx(0.8 * 0.5 / 0.6, abs=1e-3)


def test_without_a_probable_type_the_kind_is_named() -> None:
    unsure = seen(
        {"shirt": 0.1, "sweater": 0.1, "t-shirt": 0.09},
        Found("top", 0.9, UPPER), Found("bag", 0.7, LOWER),
    )  # fmt: skip
    top, bag = described_items(unsure)
    assert (top.type, top.colour, top.confidence) == ("top", None, 0.9)
    assert (bag.type, bag.confidence) == ("bag", 0.7)


def test_one_garment_has_the_type_and_colour_of_the_caption() -> None:
    (only,) = described_items(seen({"dress": 0.95}, Found("dress", 0.6, UPPER, BLUE)))
    assert (only.type, only.colour, only.box, only.confidence) == ("dress", "red", UPPER, 0.95)
    for found in ([], [Found("top", 0.9, UPPER)]):
        (whole,) = described_items(seen({"watch": 0.95}, *found))
        assert (whole.type, whole.box) == ("watch", (0.0, 0.0, 1.0, 1.0))
    (unsure,) = described_items(seen({"jeans": 0.3, "shirt": 0.2}, Found("top", 0.9, UPPER)))
    assert (unsure.type, unsure.box, unsure.confidence) == ("shirt", UPPER, 0.9)


def test_the_garment_that_the_caption_names_is_the_first() -> None:
    named = seen({"jeans": 0.9}, Found("top", 0.9, UPPER), Found("pants", 0.8, LOWER))
    assert [one.part for one in main_first(named).items] == ["pants", "top"]
    unsure = seen({"jeans": 0.3}, Found("top", 0.9, UPPER), Found("pants", 0.8, LOWER))
    assert [one.part for one in main_first(unsure).items] == ["top", "pants"]


def test_a_photo_without_a_garment_has_no_items() -> None:
    nothing = seen({NOTHING: 0.9, "dress": 0.1}, Found("top", 0.9, UPPER))
    assert described_items(nothing) == ()
    assert classified(nothing, "m").items == ()


def test_items_use_the_words_of_the_user() -> None:
    own = Vocabulary(said={"types": {"jeans": "denims"}, "colours": {"blue": "azure"}})
    found = classified(OUTFIT, "m", own).items
    assert [(item.colour, item.type) for item in found] == [("white", "shirt"), ("azure", "denims")]
    assert (found[1].box.left, found[1].box.bottom) == (0.25, 0.9)


@pytest.mark.parametrize(
    ("measured", "colour"),
    [
        ((), None),
        ((("red", 0.4), ("blue", 0.3), ("white", 0.3)), None),
        ((("navy blue", 0.6), ("black", 0.2)), "navy blue"),
        ((("olive", 0.4), ("green", 0.3)), "green"),
    ],
)
def test_a_colour_needs_enough_of_the_pixels(measured: Any, colour: str | None) -> None:
    assert main_colour(measured) == colour


def test_only_types_of_the_kind_remain() -> None:
    kept = dict(narrowed(OUTFIT, "pants").types)
    assert set(kept) == {"jeans", "trousers"}
    assert kept["jeans"] == pytest.approx(5 / 6, abs=1e-5)


def test_the_part_around_a_garment_stays_in_the_photo() -> None:
    assert around((0.5, 0.5, 1.0, 1.0), 100, 200) == (44, 88, 100, 200)
    assert around((0.0, 0.0, 0.001, 0.001), 3, 3) == (0, 0, 1, 1)


@pytest.mark.parametrize(
    ("metadata", "index"),
    [
        ({"item": 0}, 0),
        ({"item": 2}, 2),
        ({"item": 2**62}, ITEMS),
        ({"item": -1}, None),
        ({"item": 1.0}, None),
        ({"item": True}, None),
        ({"item": "1"}, None),
        ({"item": "SKU-7"}, None),
        ({"item": [1]}, None),
        ({"item": None}, None),
        ({}, None),
        (None, None),
    ],
    ids=str,
)
def test_only_a_whole_number_selects_a_garment(metadata: Any, index: int | None) -> None:
    assert wanted_item(metadata) == index


def test_the_choice_is_passed_on_with_a_download() -> None:
    from agents.downloads.download import downloaded

    event = ImageSubmitted(job_id=JOB, source=Source(url="https://a/b"), metadata={"item": 3})
    made = downloaded(event)
    assert isinstance(made, ImageDownloaded)
    assert made.wanted_item == 3
