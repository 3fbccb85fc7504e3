"""Listings in each marketplace's form, from a caption and its confident attributes."""

from __future__ import annotations

from gateway.views.marketplaces import listings
from streams.events.models import Attribute, Captioned

SAID = Captioned(
    caption="Women's Navy Blue Checked Dress",
    description="A dress for women.",
    attributes={
        "type": Attribute(value="dress", confidence=0.9),
        "colour": Attribute(value="navy blue", confidence=0.8),
        "pattern": Attribute(value="checked", confidence=0.7),
        "gender": Attribute(value="women", confidence=0.95),
        "neckline": Attribute(value="v-neck", confidence=0.3),
    },
    needs_review=False,
    model="m",
)


def test_each_marketplace_has_its_shape() -> None:
    assert listings(SAID) == {
        "ebay": {
            "title": "Women's Navy Blue Checked Dress", "description": "A dress for women.",
        },
        "poshmark": {
            "title": "Women's Navy Blue Checked Dress", "description": "A dress for women.",
            "department": "Women",
        },
        "vinted": {
            "title": "Women's navy blue checked dress", "description": "A dress for women.",
            "colour": "navy blue",
        },
        "depop": {"description": "A dress for women. #dress #navyblue #checked #women"},
    }  # fmt: skip


def test_uncertain_attributes_are_left_out() -> None:
    unsure = {n: a.model_copy(update={"confidence": 0.5}) for n, a in SAID.attributes.items()}
    found = listings(SAID.model_copy(update={"attributes": unsure}))
    assert "colour" not in found["vinted"]
    assert "department" not in found["poshmark"]
    assert found["depop"] == {"description": "A dress for women."}


def test_titles_have_at_most_80_characters() -> None:
    long = SAID.model_copy(update={"caption": "Very " * 16})
    assert all(len(listing.get("title", "")) <= 80 for listing in listings(long).values())
