"""The kinds of garment with different landmarks, and the kind of each type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

Kind = Literal["top", "dress", "bottoms", "skirt", "other"]
"""``bottoms`` have legs. ``other`` has no landmarks: hats, shoes, bags and other things."""
KINDS: tuple[Kind, ...] = get_args(Kind)

_WORDS: dict[Kind, tuple[str, ...]] = {
    "top": (
        "bathrobe", "blazer", "blouse", "camisole", "cardigan", "coat", "hoodie", "jacket", "kurti",
        "long sleeve top", "longsleeve", "lounge tshirt", "nehru jacket", "outerwear", "outwear",
        "polo shirt", "rain jacket", "shirt", "shrug", "sweater", "sweatshirt", "t-shirt",
        "tank top", "top", "tunic", "undershirt", "vest", "waistcoat", "suit",
    ),
    "dress": ("babydoll", "bodysuit", "dress", "jumpsuit", "kurta", "nightdress", "romper"),
    "bottoms": (
        "boxer shorts", "capri pants", "churidar", "jeans", "jeggings", "leggings", "lounge pants",
        "lounge shorts", "pants", "patiala", "salwar", "shorts", "tights", "track pants",
        "trousers", "trunks",
    ),
    "skirt": ("skirt",),
}  # fmt: skip
_KINDS: dict[str, Kind] = {word: kind for kind, words in _WORDS.items() for word in words}


def kind_of(word: str) -> Kind:
    """Return the kind of a type ``word``, from the garment network or a caption."""
    return _KINDS.get(word.lower(), "other")


def likeliest_kind(types: Iterable[tuple[str, float]], sure: float = 0.6) -> Kind | None:
    """Return the most likely kind of a ranking of types; None if no kind reaches the share
    ``sure``.

    ``types`` are words and their probabilities, as in `Prediction.types`.
    """
    shares = dict.fromkeys(KINDS, 0.0)
    for word, share in types:
        shares[kind_of(word)] += share
    best = max(KINDS, key=shares.__getitem__)
    return best if shares[best] >= sure else None
