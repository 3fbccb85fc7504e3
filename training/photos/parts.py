"""The parts of an outfit: the part of each label of street photos and people's photos."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from agents.vision.networks.parts import PARTS

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
