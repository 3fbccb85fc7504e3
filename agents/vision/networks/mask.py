"""The mask network: a small U-Net decoder over the encoder's features."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.vision.networks.encoder import LEVELS, ConvNorm

_WIDTHS = {32: 96, 16: 64, 8: 48, 4: 32, 2: 24}
_FULL = 12


class MaskDecoder(nn.Module):
    """Maps features by stride and photos (n, 3, h, w) to logits (n, 1, h, w) of "garment or
    wearer".

    Ronneberger et al., "U-Net" (MICCAI 2015), with the encoder's features narrowed by 1x1
    convolutions. The photo itself is added at full size, for precise outlines.
    """

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.ModuleDict(
            {str(stride): ConvNorm(LEVELS[stride], width, 1) for stride, width in _WIDTHS.items()}
        )
        strides = list(_WIDTHS)
        self.join = nn.ModuleDict(
            {
                str(fine): ConvNorm(_WIDTHS[coarse] + _WIDTHS[fine], _WIDTHS[fine], 3)
                for coarse, fine in pairwise(strides)
            }
        )
        self.full = ConvNorm(_WIDTHS[2] + 3, _FULL, 3)
        self.last = nn.Conv2d(_FULL, 1, 1)

    def forward(self, levels: Mapping[int, Tensor], photos: Tensor) -> Tensor:
        x = self.narrow["32"](levels[32])
        for stride in (16, 8, 4, 2):
            beside = self.narrow[str(stride)](levels[stride])
            x = self.join[str(stride)](torch.cat([_doubled(x), beside], dim=1))
        logits: Tensor = self.last(self.full(torch.cat([_doubled(x), photos - 0.5], dim=1)))
        return logits

    def fuse(self) -> None:
        """Fold every batch norm into its convolution; for inference only."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fuse()


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
