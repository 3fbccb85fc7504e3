"""Training captions: the words of a title that a photo can show, without the brand."""

from __future__ import annotations

import pytest

from training.photos.titles import brand_of, caption_of, without_brand
from training.scoring.references import brands_of, names_a_brand, reference_of


@pytest.mark.parametrize(
    ("title", "facts", "caption"),
    [
        ("Acme Men Check Navy Blue Shirts", ("shirt", "navy blue", "men", "checked"),
         "men's navy blue checked shirt"),
        ("U.S. Polo Assn. Men Green T-shirt", ("t-shirt", "green", "men", "unstated"),
         "men's green t-shirt"),
        ("Acme Women Black & White Sleeveless Top", ("top", "black", "women", "unstated"),
         "women's black and white sleeveless top"),
        ("Acme Men Casual Black Casual Shoes", ("casual shoes", "black", "men", None),
         "men's black casual shoes"),
        ("Acme Men Zoom 5 Blue", ("sports shoes", None, None, None), "sports shoes"),
        ("Acme Gift", (None, "blue", "men", None), ""),
    ],
)  # fmt: skip
def test_captions(title: str, facts: tuple[str | None, ...], caption: str) -> None:
    type_, colour, gender, pattern = facts
    assert " ".join(caption_of(title, type_, colour, gender, pattern)) == caption


@pytest.mark.parametrize(
    ("title", "brand"),
    [
        ("United Colors of Acme Men Blue Shirt", "United Colors of Acme "),
        ("Acme Blue Polo T-shirt", "Acme "),
        ("Men Blue Shirt", ""),
        ("", ""),
    ],
)
def test_a_brand_is_what_stands_before_the_wearer(title: str, brand: str) -> None:
    assert brand_of(title) == brand
    assert brand_of(title) + without_brand(title) == title


def test_references_are_brand_free_and_in_one_spelling() -> None:
    assert reference_of("Acme Men's 5XL Check Tshirts") == ("men", "xl", "checked", "t-shirt")


def test_a_brand_is_found_anywhere_in_a_caption() -> None:
    brands = brands_of(["Black Bean Women Top", "Red Women Top", "Acme Men Shirt"])
    assert names_a_brand(("women", "black", "bean", "top"), brands)
    assert names_a_brand(("acme", "shirt"), brands)
    assert not names_a_brand(("women", "black", "red", "top"), brands)
