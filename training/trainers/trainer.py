"""A network in training: its recipe, its optimiser and the running average of its weights."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from agents.vision.networks.garment_net import GarmentNet
from agents.vision.networks.residual import ResidualNet
from training.trainers.objective import partial_loss
from training.trainers.pretrained import start_from_imagenet

SMOOTHING = 0.05


def from_imagenet(sizes: Mapping[str, int]) -> nn.Module:
    """Return a garment network whose encoder has ImageNet weights."""
    network = GarmentNet(sizes)
    start_from_imagenet(network.encoder)
    return network


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: its batches, learning rate and loss weights.

    A batch contains `studio` catalogue photos and `people` people's photos. A share `keep` of the
    catalogue photos keeps the white background. Views are `small` pixels wide, and `large` pixels
    after a share `large_from` of the training. The encoder's learning rate is `encoders_share`
    times `rate`. `half` computes in bfloat16.
    """

    name: str
    network: Callable[[Mapping[str, int]], nn.Module]
    weights: Mapping[str, float]
    studio: int
    people: int
    epochs: int
    keep: float
    lamps: float = 1.0
    small: int = 96
    large: int = 96
    large_from: float = 0.5
    rate: float = 3e-3
    encoders_share: float = 1.0
    decay: float = 0.02
    averaging: float = 0.996
    half: bool = False


RECIPES = {
    "encoder": Recipe(
        "garment-net-2", from_imagenet, {
            "type": 1.0, "colour": 0.8, "gender": 0.5, "pattern": 0.25, "sleeve": 0.15,
            "neckline": 0.15,
        }, studio=96, people=32, epochs=24, keep=0.7, lamps=0.5, large=128, encoders_share=0.3,
    ),
    "second": Recipe(
        "second-net-1", ResidualNet, {
            "type": 0.6, "colour": 1.0, "gender": 0.5, "pattern": 0.2, "sleeve": 0.1,
            "neckline": 0.1,
        }, studio=112, people=16, epochs=40, keep=0.85, lamps=0.0, small=64, large=64, decay=0.05,
        averaging=0.998, half=True,
    ),
}  # fmt: skip
"""Recipes by name: the shared encoder with its heads, and the second network."""


def rate_at(progress: float) -> float:
    """Return the factor of the learning rate: a short warm-up, then a cosine that ends near 0."""
    return min(progress / 0.04, 1.0) * 0.5 * (1 + math.cos(math.pi * progress)) + 1e-3


class Trainer:
    """The network in training, the running average of its weights, and its optimiser."""

    def __init__(self, recipe: Recipe, sizes: Mapping[str, int]) -> None:
        self.recipe = recipe
        self.network = recipe.network(sizes).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(list(self._groups()), lr=recipe.rate, fused=True)
        self.step_count = 0
        self._still: list[nn.Module] = []

    def keep_still(self, modules: Sequence[nn.Module]) -> None:
        """Freeze the batch norm statistics of these modules.

        Their weights are frozen by the caller.
        """
        self._still = list(modules)

    def _groups(self) -> Iterator[dict[str, Any]]:
        """Yield parameter groups.

        The encoder has a lower rate, norms and biases no weight decay.
        """
        recipe = self.recipe
        for name, part in self.network.named_children():
            rate = recipe.rate * (recipe.encoders_share if name == "encoder" else 1)
            learnt = [p for p in part.parameters() if p.requires_grad]
            for decay, chosen in (
                (recipe.decay, [p for p in learnt if p.ndim > 1]),
                (0.0, [p for p in learnt if p.ndim <= 1]),
            ):
                yield {"params": chosen, "weight_decay": decay, "rate": rate}

    def resume(self, weights: Path) -> None:
        state = load_file(weights)
        for network in (self.network, self.average):
            network.load_state_dict(state)

    def step(self, views: Tensor, truth: dict[str, Tensor], progress: float) -> float:
        self.network.train()
        for module in self._still:
            module.eval()
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * rate_at(progress)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.half):
            logits = self.network(views.contiguous(memory_format=torch.channels_last))
        weighed = [weight * partial_loss(logits[head].float(), truth[head], SMOOTHING)
                   for head, weight in self.recipe.weights.items()]  # fmt: skip
        loss = torch.stack(weighed).sum()
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self._follow()
        return loss.item()

    @torch.no_grad()
    def _follow(self) -> None:
        self.step_count += 1
        keep = min(self.recipe.averaging, self.step_count / (self.step_count + 10))
        pairs = zip(self.average.state_dict().values(), self.network.state_dict().values(),
                    strict=True)  # fmt: skip
        for slow, fast in pairs:
            if slow.is_floating_point():
                slow.lerp_(fast, 1 - keep)
            else:
                slow.copy_(fast)
