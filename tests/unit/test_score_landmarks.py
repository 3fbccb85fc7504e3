"""The score of landmarks, on marks and masks with known results."""

import numpy as np
import pytest

from agents.vision.geometry.landmarks import LandmarkFinder
from tests.garments import trousers, tshirt
from training.landmarks.score_landmarks import (
    MARKS,
    Marked,
    halves,
    read_marks,
    score,
    score_halves,
)

SIZE = (240, 320)
MASK = np.asarray(tshirt(SIZE, "black", "white").convert("L")) < 128
BOX = (0.07, 0.1, 0.93, 0.9)


@pytest.fixture(scope="module")
def finder() -> LandmarkFinder:
    return LandmarkFinder.load()


def marked(file: str, **points: tuple[float, float]) -> Marked:
    return Marked(file, "t-shirt", BOX, points)


def test_a_point_counts_within_8_per_cent_of_the_boxs_diagonal(finder: LandmarkFinder) -> None:
    x, y, _ = finder.find(MASK).points["left_hem"]
    near, far = 0.07 * 328 / 320, 0.09 * 328 / 320  # diagonal 328 px, height 320 px
    for down, within in ((near, 1.0), (-near, 1.0), (far, 0.0), (-far, 0.0)):
        found = score(finder, {"a": MASK}, [marked("a", left_hem=(x, y + down))], {})
        assert found["all"]["within"] == within
        assert found["all"]["found"] == 1


def test_what_is_not_found_is_a_miss(finder: LandmarkFinder) -> None:
    legs = np.asarray(trousers(SIZE, "black", "white").convert("L")) < 128
    found = score(finder, {"a": legs}, [marked("a", neck=(0.5, 0.1))], {"a": "bottoms"})
    assert found["all"] == {"within": 0.0, "found": 0.0, "marked": 1, "not_marked": 0}
    assert found["misses"] == ["a t-shirt neck: not found"]


@pytest.mark.parametrize("masks", [{}, {"a": None}])
def test_without_a_mask_every_point_is_a_miss(
    finder: LandmarkFinder, masks: dict[str, None]
) -> None:
    found = score(finder, masks, [marked("a", neck=(0.5, 0.1), left_hem=(0.7, 0.9))], {})
    assert found["all"] == {"within": 0.0, "found": 0.0, "marked": 2, "not_marked": 0}


def test_unmarked_points_are_counted_separately(finder: LandmarkFinder) -> None:
    marks = [marked("a", neck=(0.5, 0.17)), marked("b", left_hem=(0.72, 0.9))]
    found = score(finder, {"a": MASK, "b": MASK}, marks, {})
    assert found["all"] == {"within": 1.0, "found": 1.0, "marked": 2, "not_marked": 2}
    assert found["by_point"]["neck"]["not_marked"] == 1
    assert found["by_class"]["t-shirt"]["marked"] == 2


def test_every_other_photo_by_name_is_of_either_half(finder: LandmarkFinder) -> None:
    marks = [marked(file, neck=(0.5, 0.17)) for file in "abc"]
    assert [[m.file for m in half] for half in halves(marks).values()] == [["a", "c"], ["b"]]
    found = score_halves(finder, {"a": MASK, "c": MASK}, marks, {})
    assert found["halves"]["tuned_on"]["within"] == 1.0
    assert found["halves"]["unseen"]["within"] == 0.0


def test_the_marks_are_read_in_the_order_of_their_files() -> None:
    marks = read_marks(MARKS)
    assert len(marks) == 77
    assert [m.file for m in marks] == sorted(m.file for m in marks)
    assert {m.kind for m in marks} == {"top", "dress", "bottoms", "skirt"}
    assert all(0 <= x <= 1 and 0 <= y <= 1 for m in marks for x, y in m.points.values())
