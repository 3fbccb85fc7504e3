"""The drawn garments on which the landmark network is trained."""

import numpy as np
import pytest

from agents.vision.geometry.landmarks import OF_KIND
from agents.vision.text.kinds import KINDS, Kind, kind_of, likeliest_kind
from training.landmarks.patterns import draw
from training.landmarks.spoiling import CANVAS, spoil
from training.landmarks.train_landmarks import SIDE, drawn


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_its_points_and_no_others(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    named = {name for _ in range(60) for name in draw(rng, kind).points}
    assert named == OF_KIND[kind]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "other"])
def test_the_wearers_left_is_drawn_on_the_right(kind: Kind) -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        points = draw(rng, kind).points
        assert points["left_hem"][0] > 0 > points["right_hem"][0]


@pytest.mark.parametrize("kind", KINDS)
def test_spoilt_masks_keep_most_of_the_garment_and_points_stay_with_it(kind: Kind) -> None:
    rng = np.random.default_rng(2)
    near, count = 0, 0
    for _ in range(40):
        seen = spoil(rng, draw(rng, kind))
        if seen is None:
            continue
        assert seen.mask.shape == (CANVAS, CANVAS)
        assert seen.mask.any()
        ys, xs = np.nonzero(seen.mask)
        for x, y in seen.points.values():
            near += bool(np.hypot(xs - x, ys - y).min() < 12)
            count += 1
    assert near >= 0.93 * count


def test_drawing_is_the_same_for_the_same_seed() -> None:
    first, second, other = drawn(3, 6), drawn(3, 6), drawn(4, 6)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])
    masks, points, kinds = first
    assert masks.shape == (6, SIDE, SIDE)
    assert np.isfinite(points[kinds == KINDS.index("top"), 0]).any()


def test_types_name_kinds() -> None:
    assert [kind_of(word) for word in ("T-shirt", "jeans", "dress", "skirt", "wallet")] == [
        "top", "bottoms", "dress", "skirt", "other",
    ]  # fmt: skip


def test_a_kind_is_as_likely_as_its_types_together() -> None:
    assert likeliest_kind([("shirt", 0.4), ("t-shirt", 0.35), ("jeans", 0.25)]) == "top"
    assert likeliest_kind([("shirt", 0.5), ("jeans", 0.5)]) is None
    assert likeliest_kind([]) is None
