"""Colours are measured on the garment only."""

from __future__ import annotations

import numpy as np
import pytest

from agents.vision.images.garment_colour import measured_colours, to_lab

NAMED = {"red": (53.0, 80.0, 67.0), "blue": (32.0, 79.0, -108.0), "multicolour": (50.0, 0.0, 0.0)}


def test_pixels_outside_the_mask_are_ignored() -> None:
    photo = np.zeros((40, 40, 3), np.float32)
    photo[..., 2] = 1.0
    photo[10:30, 10:30] = (1.0, 0.0, 0.0)
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    assert measured_colours(photo, mask, NAMED) == (("red", 1.0),)
    assert measured_colours(photo, ~mask, NAMED) == (("blue", 1.0),)
    assert dict(measured_colours(photo, mask | ~mask, NAMED)) == pytest.approx(
        {"blue": 0.75, "red": 0.25}
    )


def test_no_garment_has_no_colour() -> None:
    assert measured_colours(np.ones((8, 8, 3), np.float32), np.zeros((8, 8), bool), NAMED) == ()


def test_white_is_light_and_without_hue() -> None:
    assert to_lab(np.ones((1, 1, 3), np.float32))[0, 0] == pytest.approx((100, 0, 0), abs=0.5)
