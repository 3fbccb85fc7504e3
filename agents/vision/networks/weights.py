"""Build the networks of a weights file, and the values that one network passes to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.vision.networks.encoder import LEVELS, TOP
from agents.vision.networks.garment_net import HEADS, GarmentNet
from agents.vision.networks.mask import MaskDecoder
from agents.vision.networks.parts import PartsDecoder
from agents.vision.networks.residual import ResidualNet
from agents.vision.networks.title import TitleDecoder

SHIPPED = Path(__file__).parents[1] / "weights" / "garment-3.safetensors"


EMBEDDING = 128
PLACE_FEATURES = LEVELS[16] + LEVELS[32]
TOLD = ("type", "colour", "gender", "pattern")
"""The heads whose probabilities the title network reads."""


@dataclass(frozen=True)
class Parts:
    """The networks, ready for inference, and the projection of the encoder's top to `EMBEDDING`."""

    net: GarmentNet
    second: ResidualNet
    mask: MaskDecoder
    title: TitleDecoder
    embed: nn.Linear
    parts: PartsDecoder


def parts_of(
    state: Mapping[str, Tensor], vocabularies: Mapping[str, Sequence[str]], title_words: int
) -> Parts:
    """Build the networks from a weights file's tensors. Raises KeyError or RuntimeError if some are
    missing."""
    sizes = {head: len(vocabularies[head]) for head in HEADS}
    facts = sum(sizes[head] for head in TOLD)
    parts = Parts(
        GarmentNet(sizes), ResidualNet(sizes), MaskDecoder(),
        TitleDecoder(title_words, PLACE_FEATURES, facts), nn.Linear(TOP, EMBEDDING),
        PartsDecoder(),
    )  # fmt: skip
    for name, module in vars(parts).items():
        prefix = f"{name}."
        module.load_state_dict(
            {k.removeprefix(prefix): v.float() for k, v in state.items() if k.startswith(prefix)}
        )
        module.eval().requires_grad_(False)
    parts.net.encoder.fuse()
    parts.second.fuse()
    parts.mask.fuse()
    parts.parts.fuse()
    for module in (parts.net, parts.second, parts.mask, parts.parts):
        module.to(memory_format=torch.channels_last)
    return parts


def places(levels: Mapping[int, Tensor]) -> Tensor:
    """Return the encoder's two coarsest levels as places (n, p, `PLACE_FEATURES`)."""
    coarse = torch.cat([F.avg_pool2d(levels[16], 2), levels[32]], dim=1)
    return coarse.flatten(2).transpose(1, 2)


def facts(shares: Mapping[str, Tensor]) -> Tensor:
    """Return the heads' probabilities for the title network, (n, a)."""
    return torch.cat([shares[head] for head in TOLD], dim=1)
