"""The network that finds a garment's landmarks in its mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.vision.geometry.crops import SIDE
from agents.vision.text.kinds import KINDS

POINTS = (
    "neck", "left_shoulder", "right_shoulder", "left_armpit", "right_armpit", "left_sleeve_end",
    "right_sleeve_end", "left_waist", "right_waist", "left_hem", "right_hem",
)  # fmt: skip
_OTHER = {"left": "right", "right": "left"}
TWINS = [
    POINTS.index("_".join(_OTHER.get(part, part) for part in name.split("_"))) for name in POINTS
]
"""The index in `POINTS` of each point's mirror image."""
WIDTHS = (16, 40, 64)
FEATURES = 192


class LandmarkNet(nn.Module):
    """Maps framed masks (n, 1, SIDE, SIDE) in 0–1 and kinds to landmarks and kinds.

    The input kinds are one-hot (n, len(KINDS)), all 0 if unknown. The output has landmarks
    (n, len(POINTS), 4): x and y in 0–1 of the frame, the logarithm of their spread (the scale of
    a Laplace distribution, in frames) and the logit of existence; and the kinds' logits.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 1
        for width in WIDTHS:
            layers.append(_layer(inputs, width))
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.1))
        flat = inputs * (SIDE >> len(WIDTHS)) ** 2
        self.features = nn.Sequential(nn.Linear(flat, FEATURES), nn.ReLU())
        self.kinds = nn.Linear(FEATURES, len(KINDS))
        self.mixed = nn.Sequential(nn.Linear(FEATURES + len(KINDS), FEATURES), nn.ReLU())
        self.points = nn.Linear(FEATURES, len(POINTS) * 4)

    def forward(self, masks: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.features(self.layers(masks))
        points = self.points(self.mixed(torch.cat([seen, kinds], dim=1)))
        shaped = points.view(-1, len(POINTS), 4)
        places, rest = shaped[..., :2] + 0.5, shaped[..., 2:]
        return torch.cat([places, rest], dim=2), self.kinds(seen)


def _layer(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )
