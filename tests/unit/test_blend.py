"""The blend of two networks: its fitted shares and temperatures, and its file."""

import pytest
import torch
from torch import Tensor

from agents.vision.networks.blend import Blend
from agents.vision.networks.garment_net import HEADS
from agents.vision.networks.residual import SEEN, ResidualNet
from training.calibration.blend import Answers, fitted

WORDS = 4


def opinions(noise: float) -> tuple[Tensor, Tensor]:
    """Return the logits of 2,000 photos with this noise, and the true words."""
    truth = torch.eye(WORDS, dtype=torch.bool)[torch.randint(WORDS, (2000,))]
    return 2 * (truth * 2.0 + torch.randn(2000, WORDS) * noise), truth


def heard(first: Tensor, second: Tensor, truth: Tensor) -> Answers:
    return Answers(*(dict.fromkeys(HEADS, part) for part in (first, second, truth)))


def test_the_temperature_corrects_overconfident_logits() -> None:
    torch.manual_seed(0)
    honest, truth = opinions(noise=1)  # with this noise, the logits are the exact log-odds
    for boast in (1, 2):
        told = fitted([heard(honest * boast, honest * 0, truth)], shares=(0.0,))
        assert told.temperatures["colour"] == pytest.approx(boast, abs=0.3)


def test_the_more_accurate_network_gets_the_larger_share() -> None:
    torch.manual_seed(0)
    honest, truth = opinions(noise=1)
    guess = torch.randn(2000, WORDS) * 4
    assert fitted([heard(honest, guess, truth)]).shares["type"] < 0.1
    assert fitted([heard(guess, honest, truth)]).shares["type"] > 0.5


def test_blending_independent_networks_raises_accuracy() -> None:
    torch.manual_seed(0)
    first, truth = opinions(noise=1.5)
    second = first + 3 * torch.randn(2000, WORDS)
    independent = 2 * (truth * 2.0 + torch.randn(2000, WORDS) * 1.5)
    both = heard(first, independent, truth)
    share = fitted([both]).shares["type"]
    assert both.right("type", share) > both.right("type", 0.0) + 0.03
    assert fitted([heard(first, second, truth)]).shares["type"] < share


def test_probabilities_sum_to_one_and_a_blend_round_trips_through_json() -> None:
    blend = Blend({"type": 0.25}, {"type": 0.5})
    found = blend.probabilities(
        {"type": torch.tensor([[1.0, 0.0]])}, {"type": torch.tensor([[0.0, 1.0]])}
    )
    assert found["type"].sum().item() == pytest.approx(1)
    assert found["type"][0, 0].item() == pytest.approx(torch.sigmoid(torch.tensor(1.0)).item())
    assert Blend.of_json(blend.to_json()) == blend


@pytest.mark.parametrize("text", ["{}", "[]", '{"shares": 1, "temperatures": 2}', "no json"])
def test_a_file_without_a_blend_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a blend"):
        Blend.of_json(text)


def test_fusing_batch_norms_keeps_the_logits() -> None:
    torch.manual_seed(0)
    network = ResidualNet({"type": 5, "colour": 3})
    network(torch.rand(16, 3, SEEN, SEEN))  # so that the batch norms have statistics
    network.eval()
    photos = torch.rand(4, 3, 128, 128)
    with torch.inference_mode():
        before = network(photos)
        network.fuse()
        after = network(photos)
    assert {head: tuple(found.shape) for head, found in after.items()} == {
        "type": (4, 5),
        "colour": (4, 3),
    }
    for head, found in after.items():
        assert torch.allclose(found, before[head], atol=1e-4)
