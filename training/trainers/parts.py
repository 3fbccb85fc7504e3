"""The parts network: the garment of an outfit at each pixel of a photo.

The product does not use this network yet. Its place is beside `agents.vision.networks.mask`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.vision.networks.encoder import LEVELS, ConvNorm

PARTS = (
    "background", "wearer", "top", "outerwear", "dress", "pants", "skirt", "shorts", "legwear",
    "shoes", "headwear", "bag", "other",
)  # fmt: skip
GARMENTS = PARTS[2:]
_WIDTHS = {32: 128, 16: 96, 8: 64, 4: 48}
_STREET: dict[str, tuple[str, ...]] = {
    "wearer": ("skin", "hair"),
    "top": ("blouse", "bodysuit", "hoodie", "jumper", "shirt", "sweater", "sweatshirt", "t-shirt",
            "top", "vest", "bra", "cardigan"),
    "outerwear": ("blazer", "cape", "coat", "jacket", "suit"),
    "dress": ("dress", "romper"),
    "pants": ("jeans", "pants", "leggings"),
    "skirt": ("skirt",),
    "shorts": ("shorts", "panties", "swimwear", "intimate"),
    "legwear": ("socks", "stockings", "tights"),
    "shoes": ("boots", "clogs", "flats", "heels", "loafers", "pumps", "sandals", "shoes",
              "sneakers", "wedges"),
    "headwear": ("hat",),
    "bag": ("bag", "purse", "wallet"),
}  # fmt: skip
_PEOPLE: dict[str, tuple[str, ...]] = {
    "top": ("T-Shirt", "Longsleeve", "Shirt", "Polo", "Undershirt", "Hoodie", "Top", "Blouse"),
    "outerwear": ("Outwear", "Blazer"),
    "dress": ("Dress", "Body"),
    "pants": ("Pants",),
    "skirt": ("Skirt",),
    "shorts": ("Shorts",),
    "shoes": ("Shoes",),
    "headwear": ("Hat",),
}


def part_of_tag(tag: str) -> int:
    """Return the part number of a street label: "null" is background, unlisted labels are other."""
    if tag == "null":
        return 0
    return next((PARTS.index(part) for part, tags in _STREET.items() if tag in tags),
                PARTS.index("other"))  # fmt: skip


def part_of_label(label: str) -> int | None:
    """Return the part number of a label of people's photos; None if it names no part."""
    return next((PARTS.index(part) for part, listed in _PEOPLE.items() if label in listed), None)


def table_of(labels: Sequence[str]) -> Tensor:
    """Return a table from the numbers of a street mask to part numbers, (labels,)."""
    return torch.tensor([part_of_tag(label) for label in labels])


class PartsDecoder(nn.Module):
    """Turns features by stride into logits of `PARTS` at a quarter of the photo's size.

    Output: (n, 13, h/4, w/4). Compared with the mask network's decoder, this one has fewer channels
    at fine strides and more at coarse strides: the mask already has the outline, so the kind of
    garment matters more here.
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
        self.last = nn.Conv2d(_WIDTHS[4], len(PARTS), 1)

    def forward(self, levels: Mapping[int, Tensor]) -> Tensor:
        x = self.narrow["32"](levels[32])
        for stride in (16, 8, 4):
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
