"""The second network: a small residual network, trained from random weights.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), ten layers, with the shortcut
of He, T. et al., "Bag of Tricks" (CVPR 2019), which averages. ImageNet's weights ignore much of
the colour; this network does not start from them (ADR 16).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from agents.vision.networks.garment_net import attended

SEEN = 64
"""The side length in pixels to which every input is resized."""

WIDTH = 32


class ConvNorm(nn.Module):
    """A convolution and its batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return y

    def fuse(self) -> None:
        """Fold the norm's running statistics into the convolution; for inference only."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class Block(nn.Module):
    """Two convolutions and their shortcut, which averages when it downsamples."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride)
        self.second = ConvNorm(outputs, outputs, 3)
        self.stride = stride
        self.around = ConvNorm(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.first(x), inplace=True))
        x = F.avg_pool2d(x, self.stride) if self.stride > 1 else x
        return F.relu(y + self.around(x), inplace=True)


class ResidualNet(nn.Module):
    """Maps photos (n, 3, h, w), RGB in 0-1, to logits (n, size) for each head's vocabulary."""

    def __init__(self, sizes: Mapping[str, int], dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = ConvNorm(6, WIDTH, 3, 2)
        self.first = Block(WIDTH, WIDTH, 1)
        self.second = Block(WIDTH, 2 * WIDTH, 2)
        self.third = Block(2 * WIDTH, 4 * WIDTH, 2)
        self.fourth = Block(4 * WIDTH, 8 * WIDTH, 2)
        self.dropout = nn.Dropout(dropout)
        self.look = nn.Conv2d(4 * WIDTH, len(sizes), 1)
        self.words = nn.ModuleDict(
            {f"{h}_head": nn.Linear(12 * WIDTH, n) for h, n in sizes.items()}
        )

    def forward(self, photos: Tensor) -> dict[str, Tensor]:
        if photos.shape[-1] != SEEN:
            photos = F.interpolate(photos, (SEEN, SEEN), mode="bilinear", antialias=True)
        x = F.relu(self.stem(_both_scales(photos)), inplace=True)
        finer = self.third(self.second(self.first(x)))
        whole = self.fourth(finer).mean(dim=(2, 3))
        maps = self.look(finer)
        logits: dict[str, Tensor] = {}
        for index, (name, words) in enumerate(self.words.items()):
            seen = torch.cat([attended(finer, maps[:, index : index + 1]), whole], dim=1)
            logits[name.removesuffix("_head")] = words(self.dropout(seen))
        return logits

    def fuse(self) -> None:
        """Fold every batch norm into its convolution; for inference only."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fuse()


def _both_scales(photos: Tensor) -> Tensor:
    """Pixels (n, 3, h, w) and their logarithms, (n, 6, h, w): logarithms separate
    black, navy and charcoal, as the eye does."""
    return torch.cat([(photos - 0.5) * 4, (photos.clamp(min=0) + 0.02).log() + 1.5], dim=1)
