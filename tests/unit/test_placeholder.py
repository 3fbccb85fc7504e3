"""The average colour of a thumbhash."""

from __future__ import annotations

import pytest
from PIL import Image, ImageColor

from agents.vision.images.thumbhash import thumbhash
from gateway.pages.render import average_colour


@pytest.mark.parametrize("colour", ["white", "black", "firebrick", "seagreen", "navy", "khaki"])
def test_it_is_the_picture_s_average(colour: str) -> None:
    found = average_colour(thumbhash(Image.new("RGB", (96, 128), colour)))
    assert found is not None
    pairs = zip(ImageColor.getrgb(found), ImageColor.getrgb(colour), strict=True)
    assert max(abs(is_ - should) for is_, should in pairs) <= 8, (found, colour)


@pytest.mark.parametrize("text", ["", "AA==", "no base64!", "ü"])
def test_an_invalid_thumbhash_has_no_colour(text: str) -> None:
    assert average_colour(text) is None
