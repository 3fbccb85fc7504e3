"""Write a listing's title, description and attributes from a `Prediction`. Pure functions.

A text contains only words with a sufficient confidence. If no single word is sufficient, a broader
word replaces it ("Pants" for jeans or trousers), if its members together are. Otherwise the word is
left out. The title network's best title that agrees with the confident words gives the order and
further words. Texts name no brand and no size, because a photo does not show them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.vision.networks.prediction import Prediction, Ranking
from agents.vision.text.vocabulary import PLAIN, Vocabulary

if TYPE_CHECKING:
    from agents.vision.text.titles import Title

TITLE_LENGTH = 80
SURE = {
    "type": 0.5, "colour": 0.45, "gender": 0.8, "pattern": 0.6, "sleeve": 0.8, "neckline": 0.6,
}  # fmt: skip
SURE_WORD = 0.5
CERTAIN_COLOUR = 0.7
UNSTATED = "unstated"

# Broader words, narrowest first. A text uses the first whose members together suffice.
BROADER_TYPES: dict[str, tuple[str, ...]] = {
    "hat": ("hat", "cap"),
    "scarf": ("scarf", "stole", "dupatta", "muffler"),
    "long sleeve top": ("long sleeve top", "sweater", "sweatshirt"),
    "outerwear": ("outerwear", "jacket", "blazer", "nehru jacket", "rain jacket", "waistcoat"),
    "open shoes": ("sandals", "flip flops", "sports sandals"),
    "shoes": (
        "casual shoes", "sports shoes", "formal shoes", "heels", "flats", "sandals", "flip flops",
        "sports sandals",
    ),
    "pants": (
        "trousers", "jeans", "track pants", "leggings", "jeggings", "capri pants", "lounge pants",
        "tights", "churidar", "salwar", "patiala",
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
SMALL_WORDS = {"and", "of"}
# Words that the title network may add. A photo can show each of them.
EXTRA_WORDS = {
    "aviator", "ankle-length", "beaded", "canvas", "cargo", "casual", "chronograph", "denim",
    "digital", "faded", "formal", "high-top", "hooded", "knitted", "lace", "laptop", "leather",
    "long-sleeved", "messenger", "mid-top", "polo", "quilted", "rectangular", "round-neck",
    "short-sleeved", "skinny", "sleeveless", "sling", "slim-fit", "suede", "tote", "v-neck",
    "wayfarer", "wedge",
}  # fmt: skip
DETAILS = {
    "long": "long sleeves", "short": "short sleeves", "polo collar": "a polo collar",
    "v-neck": "a V-neck", "round neck": "a round neck", "hood": "a hood",
}  # fmt: skip

Attribute = dict[str, str | float]
Choice = tuple[str, float]


@dataclass(frozen=True)
class Sure:
    """The words with sufficient confidence, or their broader words."""

    type: str | None
    colour: str | None
    gender: str | None
    pattern: str | None


def caption(seen: Prediction, own: Vocabulary = PLAIN) -> str:
    """Return a marketplace title of at most 80 characters, such as "Women's Navy Blue Checked
    Dress"."""
    sure = what_is_sure(seen)
    noun = sure.type or _unsure_noun(seen)
    words = _title_words(sure, _agreeing(seen.titles, sure), own)
    return shortened([capitals(word) for word in (*words, own.word("types", noun))], TITLE_LENGTH)


def description(seen: Prediction, own: Vocabulary = PLAIN) -> str:
    """Return two or three sentences for a listing, from the attributes."""
    sure = what_is_sure(seen)
    subject = _with_article(sure.type or _unsure_noun(seen), own)
    wearer = f" {WEARERS[sure.gender][1]}" if sure.gender else ""
    first = f"{subject[0].upper()}{subject[1:]}{wearer}."
    second = (
        f"The main colour is {own.word('colours', sure.colour)}." if sure.colour
        else "The colour is best seen in the photo."
    )  # fmt: skip
    pattern = own.word("patterns", sure.pattern) if sure.pattern not in (None, "solid") else ""
    details = [f"a {pattern} pattern" if pattern else "",
               _detail(seen.sleeves, "sleeve"), _detail(seen.necklines, "neckline")]  # fmt: skip
    listed = " and ".join(detail for detail in details if detail)
    return " ".join([first, second, *([f"It has {listed}."] if listed else [])])


def attributes(seen: Prediction, own: Vocabulary = PLAIN) -> dict[str, Attribute]:
    """Return the most likely word of each attribute with its confidence in 0-1.

    Type and colour are the caption's broader word if the caption uses one. Pattern, sleeve and
    neckline are included only with sufficient confidence.
    """
    best = {
        "type": chosen(seen.types, BROADER_TYPES, SURE["type"]),
        "colour": chosen(seen.colours, BROADER_COLOURS, SURE["colour"]),
        "gender": chosen(seen.genders, {}, SURE["gender"]),
        "pattern": _stated(seen.patterns, "pattern"),
        "sleeve": _stated(seen.sleeves, "sleeve"),
        "neckline": _stated(seen.necklines, "neckline"),
    }
    return {
        name: {"value": own.word(f"{name}s", choice[0]),
               "confidence": round(min(choice[1], 1.0), 4)}
        for name, choice in best.items()
        if choice
    }  # fmt: skip


def needs_review(seen: Prediction) -> bool:
    """Tell whether a person should check: type or colour is uncertain, or the measured colour
    differs."""
    sure = what_is_sure(seen)
    return sure.type is None or sure.colour is None or _measured_otherwise(seen, sure.colour)


def what_is_sure(seen: Prediction) -> Sure:
    """Return the words that a caption may use."""
    type_ = chosen(seen.types, BROADER_TYPES, SURE["type"])
    colour = chosen(seen.colours, BROADER_COLOURS, SURE["colour"])
    pattern = _stated(seen.patterns, "pattern")
    gender = _said(chosen(seen.genders, {}, SURE["gender"]), SURE["gender"])
    return Sure(
        type=_said(type_, SURE["type"]),
        colour=_said(colour, SURE["colour"]),
        gender=gender if gender in WEARERS else None,
        pattern=pattern[0] if pattern and _worn(seen) else None,
    )


def chosen(ranking: Ranking, broader: Mapping[str, Sequence[str]], enough: float) -> Choice | None:
    """Return the best word if its confidence suffices, else the first sufficient broader word, else
    the best word."""
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


def capitals(words: str) -> str:
    """Return words in title case: "long-sleeve top" becomes "Long-Sleeve Top"."""
    return " ".join(
        word if word in SMALL_WORDS else "-".join(part[:1].upper() + part[1:]
                                                  for part in word.split("-"))
        for word in words.split()
    )  # fmt: skip


def shortened(words: Sequence[str], length: int) -> str:
    """Return the words as a title; leading words are dropped until it fits."""
    for start in range(len(words)):
        title = " ".join(words[start:])
        if len(title) <= length:
            return title
    return words[-1][:length].rstrip()


def _title_words(sure: Sure, title: Title | None, own: Vocabulary) -> list[str]:
    """Return wearer, colour, pattern and further confident words of the title; not the noun."""
    words = (
        [own.said.get("genders", {}).get(sure.gender, WEARERS[sure.gender][0])]
        if sure.gender
        else []
    )
    if sure.colour:
        words.append(own.word("colours", sure.colour))
        words.extend(_second_colour(title, sure.colour, own))
    words.extend([own.word("patterns", sure.pattern)] if sure.pattern else [])
    for word, share in title.words if title else ():
        known = word in (sure.type or "").split() or word == sure.pattern
        if word in EXTRA_WORDS and share >= SURE_WORD and not known:
            words.append(own.word("words", word))
    return [word for word in words if word.lower() not in own.leave_out]


def _agreeing(titles: Sequence[Title], sure: Sure) -> Title | None:
    """Return the best title with the confident type, or None."""
    return next((title for title in titles if sure.type in [word for word, _ in title.words]), None)


def _second_colour(title: Title | None, colour: str, own: Vocabulary) -> list[str]:
    """Return "and white" if the title continues the confident colour with it."""
    said = list(title.words) if title else []
    for (first, _), (joint, _), (second, share) in zip(said, said[1:], said[2:], strict=False):
        if first == colour and joint == "and" and share >= SURE_WORD and second != colour:
            return ["and", own.word("colours", second)]
    return []


def _stated(ranking: Ranking, head: str) -> Choice | None:
    """Return the most likely word if its confidence suffices and it is no "unstated"."""
    if not ranking or ranking[0][0] == UNSTATED or ranking[0][1] < SURE[head]:
        return None
    return ranking[0]


def _measured_otherwise(seen: Prediction, colour: str) -> bool:
    """Tell whether an uncertain colour has hardly any pixel on the garment."""
    if not seen.measured or seen.colours[0][1] >= CERTAIN_COLOUR or colour == "multicolour":
        return False
    kin = {colour, *(m for members in BROADER_COLOURS.values() if colour in members
                     for m in members), *BROADER_COLOURS.get(colour, ())}  # fmt: skip
    return sum(share for word, share in seen.measured if word in kin) < 0.05


def _detail(ranking: Ranking, head: str) -> str:
    stated = _stated(ranking, head)
    return DETAILS.get(stated[0], "") if stated else ""


def _worn(seen: Prediction) -> bool:
    return sum(share for word, share in seen.types if word in NOT_WORN) < 0.5


def _said(choice: Choice | None, enough: float) -> str | None:
    return choice[0] if choice and choice[1] >= enough else None


def _unsure_noun(seen: Prediction) -> str:
    """Return a noun without a confident type: "garment", unless an accessory is more likely."""
    return "garment" if _worn(seen) else "fashion item"


def _with_article(noun: str, own: Vocabulary) -> str:
    said = own.word("types", noun)
    if noun in PAIRS:
        return f"a pair of {said}"
    if noun in UNCOUNTED:
        return said
    return f"{'an' if said[0] in 'aeiou' and not said.startswith('uni') else 'a'} {said}"
