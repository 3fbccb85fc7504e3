"""Write a listing's title, description and attributes from a `Prediction`. Pure functions.

`agents.vision.text.naming` decides which words are certain enough. The title network's best title
that agrees with these words can add further words, if the type can have them. Texts name no brand
and no size, because a photo does not show them. A photo without a garment gets empty texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agents.vision.networks.prediction import Prediction
from agents.vision.text.garments import COLOUR_MEMBERS, NOTHING, above, below, can_have, share_of
from agents.vision.text.naming import Named, named
from agents.vision.text.vocabulary import PLAIN, Vocabulary

if TYPE_CHECKING:
    from agents.vision.text.titles import Title

TITLE_LENGTH = 80
SURE_WORD = 0.5
CERTAIN_COLOUR = 0.7

# For each wearer: the word in a title, and the words in a sentence.
WEARERS = {
    "baby": ("Baby", "for babies"),
    "boys": ("Boys'", "for boys"),
    "girls": ("Girls'", "for girls"),
    "kids": ("Kids'", "for children"),
    "men": ("Men's", "for men"),
    "women": ("Women's", "for women"),
}
ADULTS = ("men", "women")
"""Wearers that only the type implies."""
PAIRS = {
    "boxer shorts", "briefs", "cufflinks", "earrings", "socks", "stockings", "suspenders",
    "sunglasses", "trunks", "gloves", *below("pants"), *below("shorts"), *below("footwear"),
}  # fmt: skip
UNCOUNTED = {
    "bottoms", "footwear", "fragrance", "headwear", "jewellery", "makeup", "nightwear",
    "outerwear", "pyjamas", "sunscreen", "swimwear", "underwear",
}  # fmt: skip
SMALL_WORDS = {"and", "of"}
SLEEVE_WORDS = {"long": "long-sleeved", "short": "short-sleeved", "sleeveless": "sleeveless"}
NECK_WORDS = {
    "v-neck": "v-neck", "round neck": "round-neck", "hood": "hooded",
}  # fmt: skip
# Words that the title network may add, and the types that each word can describe. A photo can
# show each of them.
_ANY = ("garment", "bag")
EXTRA_WORDS: dict[str, tuple[str, ...]] = {
    "aviator": ("sunglasses",), "wayfarer": ("sunglasses",), "rectangular": ("sunglasses",),
    "chronograph": ("watch",), "digital": ("watch",),
    "beaded": ("garment", "bag", "jewellery"), "canvas": ("footwear", "bag"),
    "leather": ("footwear", "bag", "belt", "outerwear", "wallet", "gloves"),
    "suede": ("footwear", "bag", "outerwear", "belt"),
    "casual": ("top", "footwear", "pants"), "formal": ("shirt", "trousers", "footwear"),
    "cargo": ("bottoms",), "skinny": ("bottoms",), "ankle-length": ("leggings", "socks"),
    "slim-fit": ("bottoms", "shirt"), "faded": ("bottoms", "outerwear", "shirt"),
    "denim": ("bottoms", "outerwear", "shirt", "dress", "one-piece"),
    "high-top": ("footwear",), "mid-top": ("footwear",), "wedge": ("footwear",),
    "hooded": ("outerwear", "top", "dress"), "quilted": ("outerwear", "bag"),
    "knitted": ("top", "dress", "headwear", "scarf", "gloves", "socks"), "lace": _ANY,
    "laptop": ("bag",), "messenger": ("bag",), "sling": ("bag",), "tote": ("bag",),
    "round-neck": ("top", "dress"), "v-neck": ("top", "dress"),
    "long-sleeved": ("top", "dress", "one-piece"), "short-sleeved": ("top", "dress", "one-piece"),
    "sleeveless": ("top", "dress", "one-piece"),
}  # fmt: skip
RETIRED_WORDS = {"polo"}
"""Words that captions no longer add, because they name a type. Vocabularies may still map them."""
# Types whose name already says the word.
IMPLIED = {
    "long-sleeved": {"long sleeve top", "hoodie"} | below("outerwear"),
    "sleeveless": below("sleeveless top"),
    "hooded": below("hoodie"),
    "casual": {"casual shoes"},
    "formal": {"formal shoes"},
    "laptop": {"laptop bag"},
    "messenger": {"messenger bag"},
}
DETAILS = {
    "long": "long sleeves", "short": "short sleeves", "polo collar": "a polo collar",
    "v-neck": "a V-neck", "round neck": "a round neck", "hood": "a hood",
}  # fmt: skip

# Materials that a type always has. Titles add them if the type needs no review.
MATERIALS = {"jeans": "denim", "sweater": "knitted", "cardigan": "knitted"}

Attribute = dict[str, str | float | bool]


def caption(seen: Prediction, own: Vocabulary = PLAIN) -> str:
    """Return a marketplace title of at most 80 characters, such as "Women's Navy Blue Checked
    Dress". Empty if the photo shows no garment."""
    sure = what_is_sure(seen)
    if sure.is_nothing:
        return ""
    noun = sure.type or _unsure_noun(seen)
    words = _title_words(seen, sure, own)
    return shortened([capitals(word) for word in (*words, own.word("types", noun))], TITLE_LENGTH)


def description(seen: Prediction, own: Vocabulary = PLAIN) -> str:
    """Return one to three sentences for a listing. Empty if the photo shows no garment."""
    sure = what_is_sure(seen)
    if sure.is_nothing:
        return ""
    subject = _with_article(sure.type or _unsure_noun(seen), own)
    wearer = f" {WEARERS[sure.wearer][1]}" if sure.wearer else ""
    sentences = [f"{subject[0].upper()}{subject[1:]}{wearer}."]
    if sure.colour:
        sentences.append(f"The main colour is {own.word('colours', sure.colour)}.")
    details = dict(sure.details)
    pattern = details.get("pattern")
    listed = [
        f"a {own.word('patterns', pattern)} pattern" if pattern and pattern != "solid" else "",
        *(DETAILS.get(details.get(head, ""), "") for head in ("sleeve", "neckline")),
    ]
    if any(listed):
        sentences.append(f"It has {' and '.join(detail for detail in listed if detail)}.")
    return " ".join(sentences)


def attributes(seen: Prediction, own: Vocabulary = PLAIN) -> dict[str, Attribute]:
    """Return the word of each attribute, its confidence in 0-1, and whether a person should check.

    Without a certain type or colour, the most probable word is returned, marked for review. Wearer
    (``gender``), pattern, sleeve and neckline are included only if they are certain. A photo
    without a garment has no attributes. A type marked for review marks the wearer that it implies.
    """
    sure = what_is_sure(seen)
    if sure.is_nothing:
        return {}
    types = tuple(pair for pair in seen.types if pair[0] != NOTHING)
    found: dict[str, tuple[str, float]] = {}
    if types:
        found["type"] = (sure.type or types[0][0], sure.share)
    if seen.colours:
        found["colour"] = (sure.colour or seen.colours[0][0], sure.colour_share)
    if sure.wearer:
        found["gender"] = (sure.wearer, sure.wearer_share)
    rankings = {"pattern": seen.patterns, "sleeve": seen.sleeves, "neckline": seen.necklines}
    for head, word in sure.details:
        found[head] = (word, dict(rankings[head])[word])
    review = {*sure.review, *(["colour"] if _measured_otherwise(seen, sure.colour) else [])}
    if "type" in review and sure.wearer in ADULTS:
        review.add("gender")
    return {
        name: {
            "value": own.word(f"{name}s", word),
            "confidence": round(min(share, 1.0), 4),
            "needs_review": name in review,
        }
        for name, (word, share) in found.items()
    }


def needs_review(seen: Prediction) -> bool:
    """Tell whether a person should check: no garment was found, type or colour is uncertain, or the
    measured colour differs."""
    sure = what_is_sure(seen)
    return bool(sure.review) or _measured_otherwise(seen, sure.colour)


def what_is_sure(seen: Prediction) -> Named:
    """Return the words that a caption may use."""
    shares = {
        "type": dict(seen.types), "colour": dict(seen.colours), "gender": dict(seen.genders),
        "pattern": dict(seen.patterns), "sleeve": dict(seen.sleeves),
        "neckline": dict(seen.necklines),
    }  # fmt: skip
    return named(shares, seen.thresholds)


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


def can_describe(word: str, type_: str | None) -> bool:
    """Tell whether a further word of a title can describe the type, and is not part of its name."""
    if type_ is None or word not in EXTRA_WORDS or type_ in IMPLIED.get(word, ()):
        return False
    if word in SLEEVE_WORDS.values() and "sleeve" not in can_have(type_):
        return False
    if word in NECK_WORDS.values() and "neckline" not in can_have(type_):
        return False
    true = {type_, *above(type_)}
    return bool(true.intersection(EXTRA_WORDS[word])) and word not in type_.split()


def _title_words(seen: Prediction, sure: Named, own: Vocabulary) -> list[str]:
    """Return wearer, colour, pattern and further words of the title; not the noun."""
    title = _agreeing(seen.titles, sure)
    words: list[str] = []
    if sure.wearer:
        words.append(own.said.get("genders", {}).get(sure.wearer, WEARERS[sure.wearer][0]))
    if sure.colour:
        words.append(own.word("colours", sure.colour))
        words.extend(_second_colour(title, sure.colour, own))
    if sure.pattern:
        words.append(own.word("patterns", sure.pattern))
    words.extend(own.word("words", word) for word in _extra_words(seen, sure, title))
    return [word for word in words if word.lower() not in own.leave_out]


def _extra_words(seen: Prediction, sure: Named, title: Title | None) -> list[str]:
    """Return the further words: of the title, of sleeve and neckline, and of the material, each
    once.

    A word of sleeves or neckline needs the agreement of the head, if the head has an answer.
    """
    details = dict(sure.details)
    shares = {"sleeve": dict(seen.sleeves), "neckline": dict(seen.necklines)}
    said = [word for word, share in title.words if share >= SURE_WORD] if title else []
    for head, table in (("sleeve", SLEEVE_WORDS), ("neckline", NECK_WORDS)):
        doubted = {
            word for class_, word in table.items() if shares[head].get(class_, 1.0) < SURE_WORD
        }
        if head in details:  # the head's word replaces the title's
            doubted = set(table.values())
        said = [word for word in said if word not in doubted]
        if details.get(head) in table:
            said.append(table[details[head]])
    if sure.type in MATERIALS and "type" not in sure.review:
        said.append(MATERIALS[sure.type])
    wanted = [word for word in said if can_describe(word, sure.type) and word != sure.pattern]
    return list(dict.fromkeys(wanted))


def _agreeing(titles: Sequence[Title], sure: Named) -> Title | None:
    """Return the best title with the certain type or a narrower one, or None."""
    if sure.type is None:
        return None
    types = below(sure.type)
    return next((title for title in titles if types & {word for word, _ in title.words}), None)


def _second_colour(title: Title | None, colour: str, own: Vocabulary) -> list[str]:
    """Return "and white" if the title continues the certain colour with it."""
    said = list(title.words) if title else []
    for (first, _), (joint, _), (second, share) in zip(said, said[1:], said[2:], strict=False):
        if first == colour and joint == "and" and share >= SURE_WORD and second != colour:
            return ["and", own.word("colours", second)]
    return []


def _measured_otherwise(seen: Prediction, colour: str | None) -> bool:
    """Tell whether an uncertain colour has hardly any pixel on the garment."""
    if colour is None or colour == "multicolour":
        return False
    if not seen.measured or seen.colours[0][1] >= CERTAIN_COLOUR:
        return False
    broad = [word for word, members in COLOUR_MEMBERS.items() if colour in members]
    kin = {colour, *broad, *(m for word in (colour, *broad) for m in COLOUR_MEMBERS.get(word, ()))}
    return sum(share for word, share in seen.measured if word in kin) < 0.05


def _unsure_noun(seen: Prediction) -> str:
    """Return the noun without a certain type: "garment" or "fashion item"."""
    types = {word: share for word, share in seen.types if word != NOTHING}
    return "garment" if 2 * share_of("garment", types) >= sum(types.values()) else "fashion item"


def _with_article(noun: str, own: Vocabulary) -> str:
    said = own.word("types", noun)
    if noun in PAIRS:
        return f"a pair of {said}"
    if noun in UNCOUNTED:
        return said
    vowel = said[0] in "aeiou" and not said.startswith(("uni", "one-"))
    return f"{'an' if vowel else 'a'} {said}"
