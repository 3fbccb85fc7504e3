"""The hierarchy of garment types: which words are true of which types, and what a type can have.

A type has an own word and, with it, every broader word above it: a polo shirt is a "t-shirt", a
"top" and a "garment". The network tells the types apart; a broader word's probability is the sum
over the types below it. Pure tables and functions, without torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

NOTHING = "no garment"
"""The type of a photo that shows no garment and nothing else of the vocabulary."""

# A word's direct members. A word can be a type of its own too, as "t-shirt" and "hat" are.
MEMBERS: dict[str, tuple[str, ...]] = {
    "t-shirt": ("polo shirt",),
    "shirt": ("blouse",),
    "sweatshirt": ("hoodie",),
    "sweater": ("cardigan",),
    "sleeveless top": ("tank top", "undershirt", "camisole"),
    "long sleeve top": ("sweater", "sweatshirt"),
    "jacket": ("blazer", "rain jacket", "nehru jacket"),
    "outerwear": ("jacket", "coat", "waistcoat"),
    "kurta": ("kurti",),
    "top": (
        "t-shirt", "shirt", "sleeveless top", "long sleeve top", "tunic", "kurta", "shrug",
    ),
    "one-piece": ("bodysuit", "romper", "jumpsuit"),
    "tights": ("stockings",),
    "pants": (
        "trousers", "jeans", "track pants", "leggings", "jeggings", "capri pants", "lounge pants",
        "tights", "churidar", "salwar", "patiala",
    ),
    "shorts": ("lounge shorts",),
    "bottoms": ("pants", "shorts", "skirt"),
    "nightwear": ("nightdress", "pyjamas", "babydoll", "bathrobe"),
    "hat": ("cap", "beanie"),
    "headwear": ("hat",),
    "scarf": ("stole", "muffler"),
    "open shoes": ("sandals", "flip flops", "sports sandals"),
    "shoes": (
        "casual shoes", "sports shoes", "formal shoes", "sneakers", "boots", "loafers", "heels",
        "flats", "open shoes",
    ),
    "footwear": ("shoes",),
    "bag": (
        "handbag", "backpack", "clutch", "laptop bag", "duffel bag", "messenger bag", "wallet",
        "phone pouch",
    ),
    "jewellery": (
        "bangle", "bracelet", "earrings", "jewellery set", "necklace", "pendant", "ring",
    ),
    "underwear": ("bra", "briefs", "boxer shorts", "trunks", "shapewear"),
    "makeup": (
        "compact", "eyeliner", "eyeshadow", "foundation and primer", "highlighter and blush",
        "lip gloss", "lip liner", "lipstick", "nail polish",
    ),
    "fragrance": ("deodorant", "fragrance gift set", "perfume"),
    "garment": (
        "top", "dress", "one-piece", "outerwear", "suit", "bottoms", "nightwear", "headwear",
        "scarf", "footwear", "underwear", "sari", "dupatta", "kurta set", "socks", "gloves",
        "swimwear", "tracksuit", "tie", "belt", "suspenders",
    ),
}  # fmt: skip
COLOUR_MEMBERS: dict[str, tuple[str, ...]] = {
    "blue": ("navy blue", "turquoise blue"),
    "brown": ("coffee brown", "tan", "mushroom brown", "rust"),
    "green": ("olive", "sea green"),
    "grey": ("charcoal", "grey melange", "steel"),
    "pink": ("peach", "rose", "magenta"),
    "purple": ("lavender", "mauve"),
    "red": ("burgundy", "maroon"),
    "white": ("off white",),
    "beige": ("cream", "khaki", "nude"),
    "yellow": ("mustard",),
}

# What a type can have. What is in none of these has no sleeves, no neckline, no pattern.
SLEEVED = {
    "t-shirt", "shirt", "long sleeve top", "sleeveless top", "top", "tunic", "kurta", "shrug",
    "dress", "one-piece", "jacket", "coat", "outerwear", "nightdress", "bathrobe", "babydoll",
    "suit",
}  # fmt: skip
NECKED = {
    "t-shirt", "long sleeve top", "sleeveless top", "top", "tunic", "kurta", "dress", "one-piece",
    "nightdress", "jacket", "shirt", "outerwear",
}  # fmt: skip
PATTERNED = {
    *SLEEVED, "bottoms", "nightwear", "scarf", "sari", "dupatta", "kurta set", "socks", "swimwear",
    "tie", "underwear", "waistcoat", "tracksuit", "headwear", "garment",
}  # fmt: skip
# Types that only some people wear. The wearer of another laid-out garment is not to be seen.
WOMENS = {
    "sari", "kurti", "bra", "camisole", "nightdress", "babydoll", "blouse", "dress", "skirt",
    "heels", "dupatta", "jeggings", "stockings", "shapewear", "salwar", "patiala", "churidar",
}  # fmt: skip
MENS = {"nehru jacket", "trunks", "tie", "cufflinks", "boxer shorts"}


@cache
def below(word: str) -> frozenset[str]:
    """The word itself and every word below it."""
    return frozenset({word}).union(*(below(member) for member in MEMBERS.get(word, ())))


@cache
def above(word: str) -> tuple[str, ...]:
    """Every broader word that is true of a type, the narrowest first, without the type's own."""
    holding = [broad for broad in MEMBERS if broad != word and word in below(broad)]
    return tuple(sorted(holding, key=lambda broad: (len(below(broad)), broad)))


def every_word() -> tuple[str, ...]:
    """All words of the hierarchy in alphabetical order, broad ones too."""
    return tuple(sorted(frozenset(MEMBERS).union(*(below(word) for word in MEMBERS))))


def share_of(word: str, shares: Mapping[str, float]) -> float:
    """The probability that a word is true: the sum over the types below it."""
    return sum(shares.get(each, 0.0) for each in below(word))


def can_have(word: str) -> frozenset[str]:
    """Which of "sleeve", "neckline" and "pattern" a photo of this type, or broader word, can have.

    A broader word can have what each of its members can.
    """
    true = {word, *above(word)} - {"garment"} if word != "garment" else {word}
    tables = {"sleeve": SLEEVED, "neckline": NECKED, "pattern": PATTERNED}
    return frozenset(
        name for name, table in tables.items()
        if true & table and (name == "pattern" or not true & {"bottoms", "waistcoat"})
    )  # fmt: skip


def implied_wearer(word: str) -> str | None:
    """The adult wearer whom a type implies; None for most types, and children wear many of both."""
    if word in WOMENS:
        return "women"
    return "men" if word in MENS else None


def any_true(words: Iterable[str], named: str) -> bool:
    """Whether a named word is one of the true types or a broader word of one of them."""
    return any(word in below(named) for word in words)
