"""Combine the evidence of a garment's colour.

The evidence: both networks' logits for the whole photo, both networks' logits for the garment cut
out on white, and the colours measured under the mask. `training.calibration.tune_colours` fits the
numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from agents.vision.networks.prediction import Ranking

WHITE, SURE_PIXEL, LEAST_PIXELS, FLOOR = 0.98, 0.5, 200, 0.03
WHITE_PIXEL, WHITE_SHARE = 0.9, 0.8


@dataclass(frozen=True)
class Joint:
    """The numbers that turn evidence into logits; ``bias`` has one number for each colour word."""

    sharpness: float
    measured: float
    bias: Tensor

    def logits(self, whole: Tensor, alone: Tensor, measured: Tensor) -> Tensor:
        """Return logits (n, words) from the whole photos' and the cut-outs' logits (n, words), and
        the measured shares (n, words)."""
        both = (whole + alone) / 2 * self.sharpness
        return both + self.measured * (measured + FLOOR).log() + self.bias

    @classmethod
    def of_json(cls, text: str, words: Sequence[str]) -> Joint:
        """Read the numbers from a weights file's metadata. Raises ValueError or KeyError."""
        kept = json.loads(text)
        bias = torch.tensor([float(kept["bias"][word]) for word in words])
        return cls(float(kept["sharpness"]), float(kept["measured"]), bias)


def garment_alone(photos: Tensor, masks: Tensor) -> Tensor:
    """Return the garments on white, cropped to their masks' boxes and stretched to (h, w).

    ``photos`` (n, 3, h, w) and ``masks`` (n, 1, h, w) are 0-1. A photo with fewer than
    `LEAST_PIXELS` mask pixels is returned unchanged.
    """
    found = []
    for photo, mask in zip(photos, masks, strict=True):
        rows, columns = torch.nonzero(mask[0] > SURE_PIXEL, as_tuple=True)
        if len(rows) < LEAST_PIXELS:
            found.append(photo)
            continue
        white = photo * mask + (1 - mask) * WHITE
        box = white[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        found.append(F.interpolate(box[None], photo.shape[1:], mode="bilinear")[0])
    return torch.stack(found)


def on_white(photos: Tensor, masks: Tensor) -> Tensor:
    """Tell for each photo whether its surroundings are white, (n,).

    On white, the garment alone is no further evidence: the networks learnt colours from such
    photos.
    """
    outside = masks[:, 0] <= SURE_PIXEL
    white = outside & (photos.amin(dim=1) > WHITE_PIXEL)
    share = white.sum(dim=(1, 2)) / outside.sum(dim=(1, 2)).clamp(min=1)
    return share > WHITE_SHARE


def measured_table(measured: Sequence[Ranking], words: Sequence[str]) -> Tensor:
    """Return the measured shares of the colour words, (n, words)."""
    index = {word: place for place, word in enumerate(words)}
    table = torch.zeros(len(measured), len(words))
    for row, found in enumerate(measured):
        for word, share in found:
            if word in index:
                table[row, index[word]] = share
    return table
