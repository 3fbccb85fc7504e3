"""The garment network: a small residual CNN with one linear head for each attribute."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

HEADS = ("type", "colour", "gender")
WIDTHS = (48, 96, 192, 256)
DEPTHS = (1, 2, 2, 1)


class ConvNorm(nn.Module):
    """A convolution and its batch norm, which `fuse` turns into one convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out

    def fuse(self) -> None:
        """Fold the norm's running statistics into the convolution; for inference only."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2015, with ResNet-D's pooled shortcut)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride)
        self.second = ConvNorm(outputs, outputs, 3)
        self.pool = nn.AvgPool2d(2, ceil_mode=True) if stride == 2 else nn.Identity()
        self.shortcut = ConvNorm(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(torch.relu_(self.first(x)))
        return torch.relu_(inner + self.shortcut(self.pool(x)))


class Head(nn.Module):
    """One attribute's logits, from the whole photo and from where the attribute shows.

    A learnt map says how much each place of the earlier, finer features counts: colour is seen
    on the garment, not on what it lies on.
    """

    def __init__(self, fine: int, whole: int, words: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(fine, 1, 1)
        self.words = nn.Linear(fine + whole, words)

    def forward(self, fine: Tensor, whole: Tensor) -> Tensor:
        attention = self.look(fine).flatten(2).softmax(dim=2)
        attended = (fine.flatten(2) * attention).sum(dim=2)
        logits: Tensor = self.words(torch.cat([attended, whole], dim=1))
        return logits


class GarmentNet(nn.Module):
    """Photos (n, 3, h, w), RGB in 0-1, to logits (n, size) for each head's vocabulary.

    `sizes` names the heads and how many words each tells apart. Any height and width from 32
    pixels work; the shipped weights expect the size that their metadata names.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.stem = ConvNorm(3, WIDTHS[0], 7, 4)
        stages: list[nn.Module] = []
        inputs = WIDTHS[0]
        for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
            stages.append(_stage(inputs, width, depth, 2 if stage else 1))
            inputs = width
        self.early, self.late = nn.Sequential(*stages[:-1]), stages[-1]
        self.dropout = nn.Dropout(0.1)
        self.heads = nn.ModuleDict(
            {f"{name}_head": Head(WIDTHS[-2], inputs, words) for name, words in sizes.items()}
        )

    def forward(self, photos: Tensor) -> dict[str, Tensor]:
        fine = self.early(torch.relu_(self.stem((photos - 0.5) * 4.0)))
        whole = self.dropout(self.late(fine).mean(dim=(2, 3)))
        return {name.removesuffix("_head"): head(fine, whole) for name, head in self.heads.items()}

    def fuse(self) -> None:
        """Fold every batch norm into its convolution, about a third faster; no training after."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fuse()


def _stage(inputs: int, width: int, depth: int, stride: int) -> nn.Module:
    first = Residual(inputs, width, stride)
    return nn.Sequential(first, *(Residual(width, width) for _ in range(depth - 1)))
