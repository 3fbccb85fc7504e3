"""The parts network: the kind of garment at each place of a photo."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.vision.networks.encoder import LEVELS, ConvNorm

PARTS = (
    "background", "wearer", "top", "outerwear", "dress", "pants", "skirt", "shorts", "legwear",
    "shoes", "headwear", "bag", "other",
)  # fmt: skip
_WIDTHS = {32: 128, 16: 96, 8: 64}


class PartsDecoder(nn.Module):
    """Turns features by stride into logits of `PARTS` at an eighth of the photo's size.

    Output: (n, 13, h/8, w/8). The mask network has the precise outline, so this network only
    needs the kind of garment. It therefore has few fine and many coarse channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.ModuleDict(
            {str(stride): ConvNorm(LEVELS[stride], width, 1) for stride, width in _WIDTHS.items()}
        )
        self.join = nn.ModuleDict(
            {str(fine): ConvNorm(_WIDTHS[coarse] + _WIDTHS[fine], _WIDTHS[fine], 3)
             for coarse, fine in pairwise(_WIDTHS)}
        )  # fmt: skip
        self.last = nn.Conv2d(_WIDTHS[8], len(PARTS), 1)

    def forward(self, levels: Mapping[int, Tensor]) -> Tensor:
        x = self.narrow["32"](levels[32])
        for stride in (16, 8):
            beside = self.narrow[str(stride)](levels[stride])
            doubled = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.join[str(stride)](torch.cat([doubled, beside], dim=1))
        logits: Tensor = self.last(x)
        return logits

    def fuse(self) -> None:
        """Fold every batch norm into its convolution. The network cannot be trained afterwards."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fuse()
