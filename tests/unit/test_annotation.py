"""The annotated picture is 1000 px wide, and its lines are legible."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from agents.stages.annotation import WIDTH, annotated
from agents.vision.images.drawing import draw_lines
from streams.events.models import Label

TOP5 = tuple(
    Label(label=label, probability=p)
    for label, p in [("dress", 0.6), ("skirt", 0.2), ("long sleeve top", 0.1), ("shirt", 0.05),
                     ("shorts", 0.01)]
)  # fmt: skip


@pytest.mark.parametrize(
    ("size", "height"),
    [((500, 400), 800), ((1000, 600), 600), ((80, 60), 750), ((1024, 1024), 1000)],
)
def test_the_picture_is_1000_px_wide_and_keeps_its_aspect(
    size: tuple[int, int], height: int
) -> None:
    assert annotated(Image.new("RGB", size, "teal"), TOP5).size == (WIDTH, height)


def test_a_flat_picture_gets_room_for_the_lines() -> None:
    picture = annotated(Image.new("RGB", (1024, 10), "teal"), TOP5)
    assert picture.width == WIDTH
    assert picture.height >= 5 * 15


def test_a_tall_picture_stays_within_bounds() -> None:
    assert annotated(Image.new("RGB", (10, 1024), "teal"), TOP5).size == (WIDTH, 4000)


@pytest.mark.parametrize("ground", ["white", "black", "yellow", "gray"])
def test_letters_are_legible_on_any_background(ground: str) -> None:
    grey = np.asarray(annotated(Image.new("RGB", (800, 600), ground), TOP5).convert("L"))
    panel = grey[20:240, 20:240].astype(int)
    letters, behind = panel.max(), int(np.median(panel))
    assert letters > 230
    assert letters - behind > 125, "a contrast of about 4.5 : 1"


def test_each_class_has_its_line() -> None:
    blank = Image.new("RGB", (800, 600), "white")
    rows = [
        (np.asarray(annotated(blank, TOP5[:n]).convert("L"))[:, 40] < 200).sum() for n in range(6)
    ]
    assert rows[0] == 0
    assert rows == sorted(set(rows)), "the panel grows with every line"


def test_lines_that_do_not_fit_shrink_and_then_are_dropped() -> None:
    for size in [(60, 40), (30, 400), (1, 1)]:
        assert draw_lines(Image.new("RGB", size), ["dress - 60.0%"] * 5).size == size
