"""The evidence of a colour: the whole photo, the garment alone, and the measured colours."""

import json

import pytest
import torch

from agents.vision.networks.colour_evidence import Joint, garment_alone, measured_table, on_white

WORDS = ("black", "red", "white")


def test_the_garment_alone_fills_the_picture() -> None:
    photo = torch.zeros(1, 3, 64, 64)
    photo[:, 0, 16:48, 16:48] = 1.0
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1.0
    alone = garment_alone(photo, mask)
    assert alone.shape == photo.shape
    assert torch.allclose(alone[0, 0], torch.ones(64, 64), atol=1e-3)
    assert torch.allclose(alone[0, 1:], torch.zeros(2, 64, 64), atol=1e-3)


def test_a_photo_with_hardly_any_mask_is_unchanged() -> None:
    photo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :5, :5] = 1.0
    assert torch.equal(garment_alone(photo, mask), photo)


def test_measured_shares_of_unknown_words_are_left_out() -> None:
    table = measured_table([(("red", 0.7), ("teal", 0.3)), ()], WORDS)
    assert table.tolist() == [[0.0, pytest.approx(0.7), 0.0], [0.0, 0.0, 0.0]]


def test_all_evidence_counts() -> None:
    numbers = {"sharpness": 1.5, "measured": 0.5, "bias": {"black": 0, "red": 0, "white": 0.1}}
    joint = Joint.of_json(json.dumps(numbers), WORDS)
    none, red = torch.zeros(1, 3), torch.tensor([[0.0, 2.0, 0.0]])

    def share(*evidence: torch.Tensor) -> float:
        return float(joint.logits(*evidence).softmax(1)[0, 1])

    nothing = share(none, none, none)
    for evidence in ((red, none, none), (none, red, none), (none, none, red / 2)):
        assert share(*evidence) > nothing
    assert int(joint.logits(none, none, none).argmax()) == WORDS.index("white")


def test_numbers_without_a_word_are_refused() -> None:
    with pytest.raises(KeyError):
        Joint.of_json('{"sharpness": 1, "measured": 1, "bias": {"red": 0}}', WORDS)


def test_only_photos_on_white_are_on_white() -> None:
    photos = torch.ones(3, 3, 32, 32)
    photos[:, :, 8:24, 8:24] = 0.2
    photos[1] = 0.5
    photos[2, :, :12] = 0.3
    masks = torch.zeros(3, 1, 32, 32)
    masks[..., 8:24, 8:24] = 1.0
    assert on_white(photos, masks).tolist() == [True, False, False]
