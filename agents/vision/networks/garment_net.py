"""The garment network: one encoder, a head for each attribute, and an embedding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.vision.networks.encoder import LEVELS, TOP, Encoder


def attended(features: Tensor, look: Tensor) -> Tensor:
    """Return features (n, c, h, w) averaged with weights from logits (n, 1, h, w): (n, c)."""
    weights = look.flatten(2).softmax(dim=2)
    return (features.flatten(2) * weights).sum(dim=2)


PALETTE, SPREAD, MAPS = 4, 0.02, 2
HEADS = ("type", "colour", "gender", "pattern", "sleeve", "neckline")


class Head(nn.Module):
    """One attribute's logits, from the whole photo and from the places that show the attribute.

    Learnt maps weight each place of the finer features. So colour is read on the garment and not on
    its background.
    """

    def __init__(self, words: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.look_fine = nn.Conv2d(LEVELS[8], 1, 1)
        self.look_coarse = nn.Conv2d(LEVELS[16], 1, 1)
        self.dropout = nn.Dropout(dropout)
        self.words = nn.Linear(LEVELS[8] + LEVELS[16] + TOP, words)

    def forward(self, levels: Mapping[int, Tensor], top: Tensor, photos: Tensor) -> Tensor:
        fine = attended(levels[8], self.look_fine(levels[8]))
        coarse = attended(levels[16], self.look_coarse(levels[16]))
        logits: Tensor = self.words(self.dropout(torch.cat([fine, coarse, top], dim=1)))
        return logits


class ColourHead(nn.Module):
    """A head that also counts the photo's own colours, weighted by learnt maps.

    Each pixel of the photo at a quarter of its size is distributed over `PALETTE` colours by
    distance (softmax of -|x - c|² / t). `MAPS` maps weight the pixels, so that the colours of
    different garments are counted separately.
    """

    def __init__(self, words: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.look = nn.Conv2d(LEVELS[8] + LEVELS[16], MAPS, 1)
        self.palette = nn.Conv2d(3, PALETTE**3, 1)
        self.dropout = nn.Dropout(dropout)
        seen = (LEVELS[8] + LEVELS[16] + PALETTE**3) * MAPS + TOP
        self.inner = nn.Linear(seen, 256)
        self.words = nn.Linear(256, words)
        steps = torch.linspace(0.06, 0.94, PALETTE)
        centres = torch.cartesian_prod(steps, steps, steps)
        with torch.no_grad():
            self.palette.weight.copy_((2 * centres / SPREAD)[..., None, None])
            self.palette.bias.copy_(-centres.square().sum(dim=1) / SPREAD)  # type: ignore[union-attr]

    def forward(self, levels: Mapping[int, Tensor], top: Tensor, photos: Tensor) -> Tensor:
        size = levels[8].shape[2:]
        coarse = F.interpolate(levels[16], size=size, mode="bilinear", align_corners=False)
        places = torch.cat([levels[8], coarse], dim=1)
        maps = self.look(places).flatten(2).softmax(dim=2)
        colours = self.palette(F.avg_pool2d(photos, 4)).softmax(dim=1)
        finer = F.interpolate(maps.view(-1, MAPS, *size), colours.shape[2:]).flatten(2)
        counted = finer @ colours.flatten(2).transpose(1, 2) * (size.numel() / finer.shape[2])
        looked = maps @ places.flatten(2).transpose(1, 2)
        seen = torch.cat([looked.flatten(1), counted.flatten(1), top], dim=1)
        logits: Tensor = self.words(torch.relu(self.inner(self.dropout(seen))))
        return logits


class GarmentNet(nn.Module):
    """Maps photos (n, 3, h, w), RGB in 0-1, to logits (n, size) for each head's vocabulary.

    ``sizes`` has the number of words of each head. Height and width are multiples
    of 32; the shipped weights expect the size that their metadata names.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.heads = nn.ModuleDict(
            {f"{name}_head": (ColourHead if name == "colour" else Head)(words)
             for name, words in sizes.items()}
        )  # fmt: skip

    def forward(self, photos: Tensor) -> dict[str, Tensor]:
        levels, top = self.encoder(photos)
        return self.logits(levels, top, photos)

    def logits(
        self,
        levels: Mapping[int, Tensor],
        top: Tensor,
        photos: Tensor,
        heads: Iterable[str] = HEADS,
    ) -> dict[str, Tensor]:
        """Return the logits of ``heads`` from the encoder's features of these photos."""
        return {head: self.heads[f"{head}_head"](levels, top, photos) for head in heads}
