"""The views for training, the loss, and the training plan."""

import math

import pytest
import torch

from training.photos.augment import backgrounds, jpeg_noise, masked_views, random_views
from training.trainers.objective import partial_loss, top1
from training.trainers.train import STEPS, Plan
from training.trainers.trainer import RECIPES

ENCODER = RECIPES["encoder"]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def photos(count: int, colour: tuple[int, int, int], clear: bool) -> torch.Tensor:
    """Return squares of one colour on white. The white is transparent if ``clear``."""
    made = torch.full((count, 112, 112, 4), 255, dtype=torch.uint8)
    if clear:
        made[..., 3] = 0
    made[:, 30:82, 30:82] = torch.tensor([*colour, 255], dtype=torch.uint8)
    return made


def test_views_come_studio_first_in_range_and_vary() -> None:
    studio, people = photos(12, (200, 20, 20), True), photos(6, (20, 20, 200), False)
    views = random_views(studio, people, 64)
    assert views.shape == (18, 3, 64, 64)
    assert 0 <= views.min() < views.max() <= 1
    middle = views[:, :, 26:38, 26:38].mean(dim=(2, 3))
    assert (middle[:12, 0] > middle[:12, 2]).all()
    assert (middle[12:, 2] > middle[12:, 0]).all()
    assert not torch.equal(views[0], views[1])


def test_some_studio_photos_leave_their_white_and_some_keep_it() -> None:
    dark = torch.zeros(4, 112, 112, 4, dtype=torch.uint8)
    dark[..., 3] = 255
    views = random_views(photos(60, (200, 20, 20), True), dark, 64)[:60]
    bright = views[:, :, :4, :4].mean(dim=(1, 2, 3)) > 0.6
    assert 10 < int(bright.sum()) < 55


def test_masks_are_of_what_the_views_show() -> None:
    studio, scenes = photos(12, (200, 20, 20), True), torch.zeros(4, 112, 112, 4)
    people = photos(3, (20, 20, 200), True)
    views, masks = masked_views(studio, people, scenes.to(torch.uint8), 64)
    assert views.shape == (15, 3, 64, 64)
    assert masks.shape == (15, 1, 64, 64)
    reddish = views[:12, 0] - views[:12, 2] > 0.25
    inside = masks[:12, 0] > 0.5
    assert (reddish & inside).sum() > 0.9 * inside.sum()
    assert (reddish & ~inside).sum() < 0.5 * (~inside).sum()


def test_the_data_is_left_as_it_was() -> None:
    studio, people = photos(3, (200, 20, 20), True), photos(3, (20, 20, 200), False)
    before = studio.clone(), people.clone()
    random_views(studio, people, 64)
    assert torch.equal(studio, before[0])
    assert torch.equal(people, before[1])


def test_backgrounds_fill_the_frame() -> None:
    scenes = torch.rand(5, 4, 40, 40)
    made = backgrounds(scenes, 7, 64)
    assert made.shape == (7, 3, 64, 64)
    assert 0 <= made.min() <= made.max() <= 1


def test_jpeg_noise_is_slight_and_keeps_flat_photos() -> None:
    flat = torch.full((4, 3, 64, 64), 0.5)
    assert (jpeg_noise(flat, share=1.1) - flat).abs().max() < 0.02
    rough = torch.rand(4, 3, 64, 64)
    noisy = jpeg_noise(rough, share=1.1)
    assert 0 < (noisy - rough).abs().mean() < 0.3
    assert torch.equal(jpeg_noise(rough, share=0.0), rough)


def test_any_true_word_counts_and_unknown_rows_do_not() -> None:
    shares = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    truth = torch.tensor([[True, True, False], [False, False, False]])
    assert partial_loss(shares.log(), truth).item() == pytest.approx(-math.log(0.75))
    assert partial_loss(shares.log(), torch.zeros_like(truth)).item() == 0
    assert top1(shares.log(), truth) == 1.0


@pytest.mark.parametrize(
    ("plan", "steps", "minutes", "progress"),
    [
        (Plan(ENCODER, epochs=2), STEPS, 500.0, 0.5),
        (Plan(ENCODER, epochs=2, minutes=10), STEPS // 2, 5.0, 0.5),
        (Plan(ENCODER, epochs=2, begun=0.6), STEPS, 0.0, 0.8),
        (Plan(ENCODER, epochs=1), STEPS, 0.0, 1.0),
    ],
)
def test_progress_is_by_steps_or_by_time(
    plan: Plan, steps: int, minutes: float, progress: float
) -> None:
    assert plan.progress(steps, minutes) == pytest.approx(progress)
