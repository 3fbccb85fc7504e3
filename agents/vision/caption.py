"""Words for a listing from what the network saw: pure functions of a `Prediction`.

Only what is likely enough to be true is said. Where no single word is, a broader one whose
members together are ("Pants" for jeans or trousers) takes its place, and where that fails too
the word is left out. No brand and no size: a photo does not show them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.vision.model import Prediction, Ranking

TITLE_LENGTH = 80
SURE = {"type": 0.5, "colour": 0.45, "gender": 0.85}

# Broader words, the narrowest first; the first whose members are together likely enough is said.
BROADER_TYPES: dict[str, tuple[str, ...]] = {
    "hat": ("hat", "cap"),
    "scarf": ("scarf", "stole", "dupatta"),
    "long sleeve top": ("long sleeve top", "sweater", "sweatshirt"),
    "outerwear": ("outerwear", "jacket"),
    "open shoes": ("sandals", "flip flops", "sports sandals"),
    "shoes": (
        "casual shoes", "sports shoes", "formal shoes", "heels", "flats", "sandals", "flip flops",
        "sports sandals",
    ),
    "pants": (
        "trousers", "jeans", "track pants", "leggings", "jeggings", "capri pants", "lounge pants",
        "churidar", "salwar", "patiala",
    ),
    "bag": (
        "handbag", "backpack", "clutch", "laptop bag", "duffel bag", "messenger bag",
    ),
    "jewellery": (
        "bangle", "bracelet", "earrings", "jewellery set", "necklace", "pendant", "ring",
    ),
    "underwear": (
        "bra", "briefs", "boxer shorts", "camisole", "trunks", "undershirt",
    ),
    "makeup": (
        "compact", "eyeliner", "eyeshadow", "foundation and primer", "highlighter and blush",
        "lip gloss", "lip liner", "lipstick", "nail polish",
    ),
    "fragrance": ("deodorant", "fragrance gift set", "perfume"),
    "top": (
        "camisole", "kurta", "kurti", "long sleeve top", "shirt", "sweater", "sweatshirt",
        "t-shirt", "top", "tunic", "undershirt",
    ),
}  # fmt: skip
BROADER_COLOURS: dict[str, tuple[str, ...]] = {
    "blue": ("blue", "navy blue", "turquoise blue"),
    "brown": ("brown", "coffee brown", "tan", "mushroom brown", "rust"),
    "green": ("green", "olive", "sea green"),
    "grey": ("grey", "charcoal", "grey melange", "steel"),
    "pink": ("pink", "peach", "rose", "magenta"),
    "purple": ("purple", "lavender", "mauve", "magenta"),
    "red": ("red", "burgundy", "maroon"),
    "white": ("white", "off white"),
    "beige": ("beige", "cream", "khaki", "nude", "off white", "tan"),
    "yellow": ("yellow", "mustard"),
}
WEARERS = {
    "boys": ("Boys'", "for boys"),
    "girls": ("Girls'", "for girls"),
    "men": ("Men's", "for men"),
    "unisex": ("Unisex", "for women and men"),
    "women": ("Women's", "for women"),
}
NOT_WORN = {
    *BROADER_TYPES["makeup"], *BROADER_TYPES["fragrance"], *BROADER_TYPES["bag"],
    *BROADER_TYPES["jewellery"], "accessory gift set", "cufflinks", "face moisturiser",
    "face wash and cleanser", "phone pouch", "shoe accessory", "sunglasses", "sunscreen",
    "wallet", "watch",
}  # fmt: skip
PAIRS = {
    "boxer shorts", "briefs", "capri pants", "cufflinks", "earrings", "jeans", "jeggings",
    "leggings", "lounge pants", "open shoes", "pants", "shorts", "socks", "stockings",
    "suspenders", "sunglasses", "track pants", "trousers", "trunks", *BROADER_TYPES["shoes"],
    "shoes",
}  # fmt: skip
UNCOUNTED = {"fragrance", "jewellery", "makeup", "outerwear", "pyjamas", "sunscreen", "underwear"}
SMALL_WORDS = {"and"}

Attribute = dict[str, str | float]
Choice = tuple[str, float]


def caption(seen: Prediction) -> str:
    """A marketplace title of at most 80 characters, such as "Women's Navy Blue Dress"."""
    noun, gender, colour = _said_type(seen), _said_gender(seen), _said_colour(seen)
    words = [
        WEARERS[gender][0] if gender else "",
        _capitals(colour or ""),
        _capitals(noun or _unsure_noun(seen)),
    ]
    return _shortened([word for word in words if word])


def description(seen: Prediction) -> str:
    """Two sentences for a listing, from the same words as the caption."""
    noun, gender, colour = _said_type(seen), _said_gender(seen), _said_colour(seen)
    subject = _with_article(noun or _unsure_noun(seen))
    wearer = f" {WEARERS[gender][1]}" if gender else ""
    second = f"The main colour is {colour}." if colour else "The colour is best seen in the photo."
    return f"{subject[0].upper()}{subject[1:]}{wearer}. {second}"


def attributes(seen: Prediction) -> dict[str, Attribute]:
    """The likeliest type, colour and gender with their confidence in 0-1, sure or not.

    A broader word stands where it is what the caption says.
    """
    best = {
        "type": chosen(seen.types, BROADER_TYPES, SURE["type"]),
        "colour": chosen(seen.colours, BROADER_COLOURS, SURE["colour"]),
        "gender": chosen(seen.genders, {}, SURE["gender"]),
    }
    return {
        name: {"value": choice[0], "confidence": round(min(choice[1], 1.0), 4)}
        for name, choice in best.items()
        if choice
    }


def needs_review(seen: Prediction) -> bool:
    """Whether a person should look: the type or the colour is not sure."""
    return _said_type(seen) is None or _said_colour(seen) is None


def chosen(ranking: Ranking, broader: Mapping[str, Sequence[str]], enough: float) -> Choice | None:
    """The best word if likely enough, else the first broader one that is, else the best word."""
    if not ranking:
        return None
    if ranking[0][1] >= enough:
        return ranking[0]
    shares = dict(ranking)
    for word, members in broader.items():
        share = sum(shares.get(member, 0.0) for member in members)
        if ranking[0][0] in members and share >= enough:
            return word, share
    return ranking[0]


def _said_type(seen: Prediction) -> str | None:
    return _said(chosen(seen.types, BROADER_TYPES, SURE["type"]), SURE["type"])


def _said_colour(seen: Prediction) -> str | None:
    return _said(chosen(seen.colours, BROADER_COLOURS, SURE["colour"]), SURE["colour"])


def _said_gender(seen: Prediction) -> str | None:
    word = _said(chosen(seen.genders, {}, SURE["gender"]), SURE["gender"])
    return word if word in WEARERS else None


def _said(choice: Choice | None, enough: float) -> str | None:
    return choice[0] if choice and choice[1] >= enough else None


def _unsure_noun(seen: Prediction) -> str:
    """What is true without a sure type: a garment, unless it is likelier something not worn."""
    not_worn = sum(share for word, share in seen.types if word in NOT_WORN)
    return "fashion item" if not_worn >= 0.5 else "garment"


def _with_article(noun: str) -> str:
    if noun in PAIRS:
        return f"a pair of {noun}"
    if noun in UNCOUNTED:
        return noun
    return f"{'an' if noun[0] in 'aeiou' and not noun.startswith('uni') else 'a'} {noun}"


def _capitals(words: str) -> str:
    return " ".join(
        word if word in SMALL_WORDS else "-".join(part[:1].upper() + part[1:]
                                                  for part in word.split("-"))
        for word in words.split()
    )  # fmt: skip


def _shortened(words: Sequence[str]) -> str:
    """The words as a title, leading ones dropped until it fits."""
    for start in range(len(words)):
        title = " ".join(words[start:])
        if len(title) <= TITLE_LENGTH:
            return title
    return words[-1][:TITLE_LENGTH].rstrip()
