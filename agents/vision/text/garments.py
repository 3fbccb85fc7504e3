"""The hierarchy of garment types: words that are true of a type, and attributes of a type.

The word of a type and all broader words are true of the type: a polo shirt is a "t-shirt", a "top"
and a "garment". The network predicts types. The probability of a broader word is the sum over the
types below the word. Pure tables and functions, without torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

NOTHING = "no garment"
"""The type of a photo without a garment or another product of the vocabulary."""

# The direct members of a word. A word can also be a type, as "t-shirt" and "hat".
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

# Words that can have sleeves, a neckline or a pattern. `can_have` extends the tables to the words
# below. Other words have none of these attributes.
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
# Types that imply the wearer. A photo of another garment without a wearer does not show who wears
# the garment.
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
    """All broader words above a word, from narrow to broad, without the word."""
    holding = [broad for broad in MEMBERS if broad != word and word in below(broad)]
    return tuple(sorted(holding, key=lambda broad: (len(below(broad)), broad)))


def every_word() -> tuple[str, ...]:
    """All words of the hierarchy, including the broad ones, in alphabetical order."""
    return tuple(sorted(frozenset(MEMBERS).union(*(below(word) for word in MEMBERS))))


def share_of(word: str, shares: Mapping[str, float]) -> float:
    """The probability that a word is true: the sum over the word and all words below."""
    return sum(shares.get(each, 0.0) for each in below(word))


def can_have(word: str) -> frozenset[str]:
    """The attributes that a word can have: a subset of "sleeve", "neckline" and "pattern".

    A word also has the attributes of the broader words above, except those of "garment". Bottoms
    and waistcoats have no sleeve and no neckline.
    """
    true = {word, *above(word)} - {"garment"} if word != "garment" else {word}
    tables = {"sleeve": SLEEVED, "neckline": NECKED, "pattern": PATTERNED}
    return frozenset(
        name for name, table in tables.items()
        if true & table and (name == "pattern" or not true & {"bottoms", "waistcoat"})
    )  # fmt: skip


def implied_wearer(word: str) -> str | None:
    """The adult wearer ("women" or "men") that a type implies; None for most types.

    Children wear many of these types too.
    """
    if word in WOMENS:
        return "women"
    return "men" if word in MENS else None


def any_true(words: Iterable[str], named: str) -> bool:
    """Whether ``named`` is one of the types ``words`` or a broader word of one of these types."""
    return any(word in below(named) for word in words)
