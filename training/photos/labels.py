"""One vocabulary of marketplace words for the labels of the data sets. Pure, no files."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

MIN_EXAMPLES = 20
HELD_OUT_PERCENT = 8

# Marketplace words by article type, looked up before `PLURALS` and `_singular`. An empty word means
# no product.
TYPE_WORDS = {
    "tshirt": "t-shirt",
    "tshirts": "t-shirt",
    "t-shirt": "t-shirt",
    "t-shirts": "t-shirt",
    "baby dolls": "babydoll",
    "bath robe": "bathrobe",
    "boxers": "boxer shorts",
    "capris": "capri pants",
    "churidar": "churidar",
    "free gifts": "",
    "innerwear vests": "undershirt",
    "kajal and eyeliner": "eyeliner",
    "mobile pouch": "phone pouch",
    "necklace and chains": "necklace",
    "night suits": "pyjamas",
    "perfume and body mist": "perfume",
    "rucksacks": "backpack",
    "sarees": "sari",
    "shoe accessories": "shoe accessory",
    "scarves": "scarf",
    "sunglasses": "sunglasses",
    "swimwear": "swimwear",
    "trunk": "trunks",
}
# Words that marketplaces write in the plural.
PLURALS = {
    "briefs", "casual shoes", "cufflinks", "earrings", "flats", "flip flops", "formal shoes",
    "gloves", "heels", "jeans", "jeggings", "leggings", "lounge pants", "lounge shorts", "sandals",
    "shorts", "socks", "sports sandals", "sports shoes", "stockings", "sunglasses", "suspenders",
    "tights", "track pants", "trousers",
}  # fmt: skip
# The ten classes of people's photos. At least one of the words is true of a photo of the class.
PHOTO_CLASSES: dict[str, tuple[str, ...]] = {
    "dress": ("dress",),
    "hat": ("hat", "cap"),
    "longsleeve": ("long sleeve top", "sweater", "sweatshirt"),
    "outwear": ("outerwear", "jacket", "blazer", "nehru jacket", "rain jacket", "waistcoat"),
    "pants": (
        "trousers", "jeans", "track pants", "leggings", "jeggings", "capri pants", "lounge pants",
        "tights",
    ),
    "shirt": ("shirt",),
    "shoes": (
        "casual shoes", "sports shoes", "formal shoes", "heels", "flats", "sandals", "flip flops",
        "sports sandals",
    ),
    "shorts": ("shorts",),
    "skirt": ("skirt",),
    "t-shirt": ("t-shirt",),
}  # fmt: skip
# Attribute words and regular expressions for titles. The first match counts. A title without a
# match has the pattern and the neckline `UNSTATED`.
PATTERNS = {
    "checked": r"check(s|ed|ered)?|plaid|tartan|gingham",
    "striped": r"strip(e|es|ed|er)",
    "polka dot": r"polka",
    "floral": r"floral|flowers?",
    "printed": r"print(s|ed)?|graphic",
    "washed": r"wash(ed)?",
    "solid": r"solid|plain",
}
NECKLINES = {
    "polo collar": r"polo",
    "v-neck": r"v[ -]?neck",
    "round neck": r"round[ -]?neck|crew",
    "hood": r"hood(ed|ie|y)?",
}
SLEEVES = {
    "sleeveless": r"sleeveless|tank",
    "short": r"(short|half)[ -]slee\w*",
    "long": r"(full|long)[ -]slee\w*",
}
UNSTATED = "unstated"
# Sleeves of types, for titles that name no sleeves.
SLEEVE_OF_TYPE = {
    "sweater": "long", "sweatshirt": "long", "long sleeve top": "long", "jacket": "long",
    "blazer": "long", "t-shirt": "short", "undershirt": "sleeveless", "camisole": "sleeveless",
    "bra": "sleeveless",
}  # fmt: skip
SLEEVE_OF_CLASS = {"longsleeve": "long", "outwear": "long", "t-shirt": "short"}
WITH_NECKLINE = {
    "t-shirt",
    "top",
    "sweater",
    "sweatshirt",
    "jacket",
    "kurta",
    "tunic",
    "undershirt",
}
COLOUR_WORDS = {"multi": "multicolour", "skin": "nude", "na": "", "": ""}


def type_word(raw: str) -> str | None:
    """The marketplace word of a catalogue's article type; None if the type names no product."""
    key = " ".join(raw.lower().split())
    if key in TYPE_WORDS:
        return TYPE_WORDS[key] or None
    if not key or key in PLURALS:
        return key or None
    return _singular(key)


def colour_word(raw: str) -> str | None:
    """The lower-case word of a catalogue's colour; None if ``raw`` names no colour."""
    key = " ".join(raw.lower().split())
    return COLOUR_WORDS.get(key, key) or None


def gender_word(raw: str) -> str | None:
    """One of men, women, boys, girls, unisex; None for anything else."""
    key = raw.strip().lower()
    return key if key in {"men", "women", "boys", "girls", "unisex"} else None


def pattern_word(title: str, category: str) -> str | None:
    """The pattern in the title of apparel, or "unstated"; None for other products."""
    return (_named(PATTERNS, title) or UNSTATED) if category == "Apparel" else None


def neckline_word(title: str, type_: str | None) -> str | None:
    """The neckline in a title, or "unstated"; None for types outside `WITH_NECKLINE`."""
    return (_named(NECKLINES, title) or UNSTATED) if type_ in WITH_NECKLINE else None


def sleeve_word(title: str, type_: str | None) -> str | None:
    """The sleeves that the title names, else the sleeves of the type; None if unknown."""
    return _named(SLEEVES, title) or SLEEVE_OF_TYPE.get(type_ or "")


def _named(words: Mapping[str, str], title: str) -> str | None:
    return next(
        (word for word, said in words.items() if re.search(rf"\b({said})\b", title, re.I)), None
    )


def _singular(word: str) -> str:
    if word.endswith("sses") or word.endswith("tches"):
        return word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def vocabulary(
    words: Iterable[str | None], at_least: int = MIN_EXAMPLES, always: Sequence[str] = ()
) -> tuple[str, ...]:
    """Words with ``at_least`` examples and all words of ``always``, in alphabetical order."""
    counts = Counter(word for word in words if word)
    return tuple(sorted({w for w, n in counts.items() if n >= at_least} | set(always)))


def title_key(title: str) -> str:
    """A product's title in lower-case letters and digits only: the key of a product."""
    return " ".join(re.findall(r"[a-z0-9]+", title.lower()))


def is_held_out(title: str, percent: int = HELD_OUT_PERCENT) -> bool:
    """Whether a product is held out. Photos with the same title key are on the same side."""
    digest = hashlib.sha256(title_key(title).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < percent


def photo_class(ranking: Sequence[tuple[str, float]]) -> tuple[str, float]:
    """The likeliest of the ten classes of people's photos, and its share of the ten's sum (0-1)."""
    shares = dict(ranking)
    summed = {name: sum(shares.get(word, 0.0) for word in words)
              for name, words in PHOTO_CLASSES.items()}  # fmt: skip
    best = max(summed, key=lambda name: summed[name])
    return best, summed[best] / max(sum(summed.values()), 1e-9)
