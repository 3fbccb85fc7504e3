"""EfficientNet-Lite0: the convolutional encoder that all networks share.

Tan and Le, "EfficientNet: Rethinking Model Scaling" (ICML 2019), in the Lite variant of 2020:
no squeeze-and-excitation, ReLU6 instead of Swish, stem and top not scaled.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

# For each stage: blocks, kernel, stride, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TOP = 1280
LEVELS = {2: 16, 4: 24, 8: 40, 16: 112, 32: 320}
"""Channels of the features that `Encoder` returns, by their stride."""

_LAST_OF_STRIDE = {0: 2, 1: 4, 2: 8, 4: 16, 6: 32}


class ConvNorm(nn.Module):
    """A convolution with TensorFlow's "SAME" padding, its batch norm, and ReLU6 if ``active``."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1,
        active: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
        self.active = active
        before, after = (kernel - 2) // 2, (kernel - 2) - (kernel - 2) // 2
        self._pad = (before, after, before, after) if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, self._pad) if self._pad else x
        x = self.norm(self.conv(x))
        return F.relu6(x, inplace=True) if self.active else x

    def fuse(self) -> None:
        """Fold the norm's running statistics into the convolution; for inference only."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project (Sandler et al., "MobileNetV2", CVPR 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers = [ConvNorm(inputs, inner, 1)] if expansion > 1 else []
        layers.append(ConvNorm(inner, inner, kernel, stride, groups=inner))
        layers.append(ConvNorm(inner, outputs, 1, active=False))
        self.layers = nn.Sequential(*layers)
        self.shortcut = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


class Encoder(nn.Module):
    """Photos (n, 3, h, w), RGB in 0-1, to features by stride (`LEVELS`) and the top's (n, 1280).

    Height and width are multiples of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, 3, 2)
        stages: list[nn.Module] = []
        inputs = 32
        for blocks, kernel, stride, expansion, outputs in STAGES:
            shapes = [(inputs, stride)] + [(outputs, 1)] * (blocks - 1)
            stages.append(
                nn.Sequential(
                    *(InvertedResidual(i, outputs, kernel, s, expansion) for i, s in shapes)
                )
            )
            inputs = outputs
        self.stages = nn.ModuleList(stages)
        self.top = ConvNorm(inputs, TOP, 1)

    def forward(self, photos: Tensor) -> tuple[dict[int, Tensor], Tensor]:
        levels: dict[int, Tensor] = {}
        x = self.stem((photos - 0.498) / 0.502)
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _LAST_OF_STRIDE:
                levels[_LAST_OF_STRIDE[index]] = x
        return levels, self.top(x).mean(dim=(2, 3))

    def fuse(self) -> None:
        """Fold every batch norm into its convolution: about a third faster, for inference only."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fuse()
