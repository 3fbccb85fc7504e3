"""The garment network: one encoder, a head for each attribute, and an embedding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.vision.encoder import LEVELS, TOP, Encoder

HEADS = ("type", "colour", "gender", "pattern", "sleeve", "neckline")


class Head(nn.Module):
    """One attribute's logits, from the whole photo and from where the attribute shows.

    Learnt maps say how much each place of finer features counts: colour is seen on the garment,
    not on what it lies on.
    """

    def __init__(self, words: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.look_fine = nn.Conv2d(LEVELS[8], 1, 1)
        self.look_coarse = nn.Conv2d(LEVELS[16], 1, 1)
        self.dropout = nn.Dropout(dropout)
        self.words = nn.Linear(LEVELS[8] + LEVELS[16] + TOP, words)

    def forward(self, levels: Mapping[int, Tensor], top: Tensor) -> Tensor:
        fine = attended(levels[8], self.look_fine(levels[8]))
        coarse = attended(levels[16], self.look_coarse(levels[16]))
        logits: Tensor = self.words(self.dropout(torch.cat([fine, coarse, top], dim=1)))
        return logits


class GarmentNet(nn.Module):
    """Photos (n, 3, h, w), RGB in 0-1, to logits (n, size) for each head's vocabulary.

    ``sizes`` names the heads and how many words each tells apart. Height and width are multiples
    of 32; the shipped weights expect the size that their metadata names.
    """

    def __init__(self, sizes: Mapping[str, int], frozen: int = 0) -> None:
        super().__init__()
        self.encoder = Encoder(frozen)
        self.heads = nn.ModuleDict({f"{name}_head": Head(words) for name, words in sizes.items()})

    def forward(self, photos: Tensor) -> dict[str, Tensor]:
        levels, top = self.encoder(photos)
        return self.logits(levels, top)

    def logits(self, levels: Mapping[int, Tensor], top: Tensor) -> dict[str, Tensor]:
        """The heads' logits from what the encoder returned."""
        return {name.removesuffix("_head"): head(levels, top) for name, head in self.heads.items()}


def attended(features: Tensor, look: Tensor) -> Tensor:
    """Features (n, c, h, w) averaged by a map of logits (n, 1, h, w): (n, c)."""
    weights = look.flatten(2).softmax(dim=2)
    return (features.flatten(2) * weights).sum(dim=2)
