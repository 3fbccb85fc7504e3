"""The data sets' labels as one vocabulary of marketplace words: pure, no files."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

MIN_EXAMPLES = 20
HELD_OUT_PERCENT = 8

# Article types whose marketplace word is not simply the lower-case singular.
TYPE_WORDS = {
    "tshirt": "t-shirt",
    "tshirts": "t-shirt",
    "t-shirt": "t-shirt",
    "t-shirts": "t-shirt",
    "lounge tshirts": "t-shirt",
    "baby dolls": "babydoll",
    "bath robe": "bathrobe",
    "blazers": "jacket",
    "boxers": "boxer shorts",
    "capris": "capri pants",
    "churidar": "churidar",
    "free gifts": "",
    "innerwear vests": "undershirt",
    "kajal and eyeliner": "eyeliner",
    "lounge shorts": "shorts",
    "mobile pouch": "phone pouch",
    "mufflers": "scarf",
    "necklace and chains": "necklace",
    "nehru jackets": "jacket",
    "night suits": "pyjamas",
    "perfume and body mist": "perfume",
    "rain jacket": "jacket",
    "rucksacks": "backpack",
    "sarees": "sari",
    "shoe accessories": "shoe accessory",
    "scarves": "scarf",
    "sunglasses": "sunglasses",
    "swimwear": "swimwear",
    "trunk": "trunks",
}
# Words that a marketplace writes in the plural.
PLURALS = {
    "briefs", "casual shoes", "cufflinks", "earrings", "flats", "flip flops", "formal shoes",
    "gloves", "heels", "jeans", "jeggings", "leggings", "lounge pants", "sandals", "shorts",
    "socks", "sports sandals", "sports shoes", "stockings", "sunglasses", "suspenders", "tights",
    "track pants", "trousers",
}  # fmt: skip
# One of the ten classes of people's photos: any of these words is true of it.
PHOTO_CLASSES: dict[str, tuple[str, ...]] = {
    "dress": ("dress",),
    "hat": ("hat", "cap"),
    "longsleeve": ("long sleeve top", "sweater", "sweatshirt"),
    "outwear": ("outerwear", "jacket"),
    "pants": (
        "trousers", "jeans", "track pants", "leggings", "jeggings", "capri pants", "lounge pants",
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
COLOUR_WORDS = {"multi": "multicolour", "skin": "nude", "na": "", "": ""}


def type_word(raw: str) -> str | None:
    """The marketplace word of a catalogue's article type; None where it names no product."""
    key = " ".join(raw.lower().split())
    if key in TYPE_WORDS:
        return TYPE_WORDS[key] or None
    if not key or key in PLURALS:
        return key or None
    return _singular(key)


def colour_word(raw: str) -> str | None:
    """The lower-case word of a catalogue's colour; None where it names none."""
    key = " ".join(raw.lower().split())
    return COLOUR_WORDS.get(key, key) or None


def gender_word(raw: str) -> str | None:
    """One of men, women, boys, girls, unisex; None for anything else."""
    key = raw.strip().lower()
    return key if key in {"men", "women", "boys", "girls", "unisex"} else None


def _singular(word: str) -> str:
    if word.endswith("sses") or word.endswith("tches"):
        return word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def vocabulary(
    words: Iterable[str | None], at_least: int = MIN_EXAMPLES, always: Sequence[str] = ()
) -> tuple[str, ...]:
    """The words with enough examples, and those that must be there, in alphabetical order."""
    counts = Counter(word for word in words if word)
    return tuple(sorted({w for w, n in counts.items() if n >= at_least} | set(always)))


def title_key(title: str) -> str:
    """A product's title without case, punctuation or spacing: what tells products apart."""
    return " ".join(re.findall(r"[a-z0-9]+", title.lower()))


def is_held_out(title: str, percent: int = HELD_OUT_PERCENT) -> bool:
    """Whether a product is kept for scoring, by its title alone, so never half of a product."""
    digest = hashlib.sha256(title_key(title).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < percent
