"""The views that are cut out for a pose."""

from __future__ import annotations

import pytest

from agents.vision.geometry.crops import View, plan_views
from streams.events.models import Box, Keypoint, Posed

WHOLE = Box(left=0.1, top=0.1, right=0.9, bottom=0.9)
TOP = {
    "neck": (0.5, 0.15), "left_shoulder": (0.7, 0.15), "right_shoulder": (0.3, 0.15),
}  # fmt: skip
HEM = {"hem": (0.5, 0.88), "left_hem": (0.72, 0.88), "right_hem": (0.28, 0.88)}
FABRIC = {"fabric_top_left": (0.35, 0.35), "fabric_bottom_right": (0.65, 0.65)}
LEGS = {"left_hem": (0.65, 0.88), "right_hem": (0.35, 0.86)}
SLEEVES = {"left_sleeve_end": (0.88, 0.4), "right_sleeve_end": (0.12, 0.4)}
BODY = {
    "nose": (0.5, 0.12), "left_shoulder": (0.65, 0.25), "right_shoulder": (0.35, 0.25),
    "left_hip": (0.6, 0.6), "right_hip": (0.4, 0.6), "left_wrist": (0.8, 0.6),
}  # fmt: skip


def views(
    subject: str, points: dict[str, tuple[float, float]], sure: float = 0.9, size: int = 1000
) -> dict[str, View]:
    keypoints = tuple(Keypoint(name=n, x=x, y=y, confidence=sure) for n, (x, y) in points.items())
    posed = Posed.model_validate(
        {"subject": subject, "keypoints": keypoints, "box": WHOLE, "model": "m"}
    )
    return {view.label: view for view in plan_views(posed, size, size)}


@pytest.mark.parametrize(
    ("points", "labels"),
    [
        ({**TOP, **HEM, **FABRIC, **SLEEVES}, "full neck length zoom hem sleeve"),
        ({**TOP, **HEM, **FABRIC}, "full neck length zoom hem"),
        ({**HEM, **FABRIC}, "full zoom hem"),
        ({**TOP, **FABRIC}, "full neck zoom"),
        (FABRIC, "full zoom"),
        ({**LEGS, **FABRIC}, "full zoom hem"),
        ({"left_hem": (0.65, 0.88), **FABRIC}, "full zoom"),
        ({}, "full"),
    ],
)
def test_a_laid_out_garment_gives_the_views_that_it_has(
    points: dict[str, tuple[float, float]], labels: str
) -> None:
    assert list(views("laid-out", points)) == labels.split()


def test_the_hem_of_trousers_shows_both_ends_whole() -> None:
    hem = views("laid-out", LEGS)["hem"].box
    assert hem.left < 0.25
    assert hem.right > 0.75
    assert hem.top < 0.8
    assert 0.88 < hem.bottom < 0.95


def test_a_neck_outside_the_shoulders_gives_no_view() -> None:
    assert "neck" not in views("laid-out", {**TOP, "neck": (0.75, 0.15)})


def test_narrow_straps_give_a_neck_view_of_the_chests_width() -> None:
    straps = {"neck": (0.5, 0.3), "left_shoulder": (0.55, 0.1), "right_shoulder": (0.45, 0.1)}
    armpits = {"left_armpit": (0.75, 0.4), "right_armpit": (0.25, 0.4)}
    narrow = views("laid-out", straps)["neck"].box
    wide = views("laid-out", {**straps, **armpits})["neck"].box
    assert wide.right - wide.left > 3 * (narrow.right - narrow.left)
    assert wide.bottom > narrow.bottom


def test_a_wearer_gives_full_neck_length_and_fabric() -> None:
    assert list(views("worn", BODY)) == ["full", "neck", "length", "zoom"]


def test_a_wearer_without_a_head_gives_no_neck_view() -> None:
    headless = {name: at for name, at in BODY.items() if name != "nose"}
    assert "neck" not in views("worn", headless)


def test_an_arm_in_front_of_the_fabric_prevents_the_close_up() -> None:
    assert "zoom" not in views("worn", {**BODY, "left_wrist": (0.52, 0.43)})


def test_half_a_wearer_gives_no_views() -> None:
    assert not views("worn", {"left_shoulder": (0.6, 0.2), "right_shoulder": (0.4, 0.2)})


def test_a_pose_without_a_subject_gives_no_views() -> None:
    assert not plan_views(Posed(subject="none", model="m"), 1000, 1000)


def test_uncertain_keypoints_give_no_view() -> None:
    assert list(views("laid-out", {**TOP, **HEM, **SLEEVES}, sure=0.3)) == ["full"]


def test_small_views_are_left_out() -> None:
    everything = {**TOP, **HEM, **FABRIC, **SLEEVES}
    assert "zoom" not in views("laid-out", everything, size=120)
    assert not views("laid-out", everything, size=30)


def test_every_box_lies_in_the_picture_and_says_why() -> None:
    found = views("laid-out", {**TOP, **HEM, **FABRIC, **SLEEVES})
    for view in found.values():
        assert 0 <= view.box.left < view.box.right <= 1
        assert 0 <= view.box.top < view.box.bottom <= 1
        assert view.reason
    neck = found["neck"].box
    assert neck.left < 0.5 < neck.right
    assert neck.top < 0.15 < neck.bottom < 0.5
    assert found["hem"].box.top > 0.5
    assert found["sleeve"].box.left < 0.88 < found["sleeve"].box.right
