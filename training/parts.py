"""The parts network: which garment of an outfit each place of a photo shows.

It shares the mask network's decoder up to a quarter of the photo's size. To be moved beside
`agents.vision.mask_network` when the product tells several garments apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.vision.encoder import ConvNorm
from agents.vision.mask_network import MaskDecoder

PARTS = (
    "background", "wearer", "top", "outerwear", "dress", "pants", "skirt", "shorts", "legwear",
    "shoes", "headwear", "bag", "other",
)  # fmt: skip
GARMENTS = PARTS[2:]
QUARTER, INNER = 32, 64
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
    """The part's number of a street label; "null" is background, what is in no part is other."""
    if tag == "null":
        return 0
    return next((PARTS.index(part) for part, tags in _STREET.items() if tag in tags),
                PARTS.index("other"))  # fmt: skip


def part_of_label(label: str) -> int | None:
    """The part's number of a people's label; None where it tells none."""
    return next((PARTS.index(part) for part, listed in _PEOPLE.items() if label in listed), None)


def table_of(labels: Sequence[str]) -> Tensor:
    """The part's number of each number in a street mask."""
    return torch.tensor([part_of_tag(label) for label in labels])


class PartsNet(nn.Module):
    """A mask decoder with a second output at a quarter of the photo's size.

    Features by stride and the photos (n, 3, h, w) to logits of "garment or wearer" (n, 1, h, w)
    and of `PARTS` (n, 13, h/4, w/4).
    """

    def __init__(self) -> None:
        super().__init__()
        self.mask = MaskDecoder()
        self.parts = nn.Sequential(
            ConvNorm(QUARTER, INNER, 3), ConvNorm(INNER, INNER, 5, groups=INNER),
            nn.Conv2d(INNER, len(PARTS), 1),
        )  # fmt: skip

    def forward(self, levels: Mapping[int, Tensor], photos: Tensor) -> tuple[Tensor, Tensor]:
        x = self.mask.narrow["32"](levels[32])
        quarter = x
        for coarse, stride in pairwise((32, 16, 8, 4, 2)):
            beside = self.mask.narrow[str(stride)](levels[stride])
            x = self.mask.join[str(stride)](torch.cat([_doubled(x), beside], dim=1))
            if coarse == 8:
                quarter = x
        full = self.mask.full(torch.cat([_doubled(x), photos - 0.5], dim=1))
        return self.mask.last(full), self.parts(quarter)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
