"""Titles of products as captions for training: no brand, no size, words in natural order.

A caption has the wearer, the colours, the pattern, other visible details and the type: "men's navy
blue checked slim-fit shirt". From a title come only a second colour and the words for visible
details in `SEEN_WORDS`: any other word may be part of a brand.
"""

import re
from collections.abc import Iterable, Sequence

from training.photos.labels import UNSTATED

# Words of captions for visible details, and regular expressions that find them in titles.
SEEN_WORDS: dict[str, str] = {
    "polo": r"polo",
    "v-neck": r"v[ -]?neck",
    "round-neck": r"round[ -]?neck|crew",
    "hooded": r"hood(ed|ie|y)?",
    "sleeveless": r"sleeveless",
    "long-sleeved": r"(full|long)[ -]slee\w*",
    "short-sleeved": r"(short|half)[ -]slee\w*",
    "slim-fit": r"slim( fit)?",
    "skinny": r"skinny",
    "cargo": r"cargo",
    "denim": r"denim",
    "knitted": r"knit(ted)?",
    "woven": r"woven",
    "lace": r"lace|lacy",
    "leather": r"leather",
    "canvas": r"canvas",
    "suede": r"suede",
    "striped": r"strip(e|es|ed|er)",
    "beaded": r"beaded|beads",
    "quilted": r"quilted",
    "faded": r"faded",
    "embroidered": r"embroider(ed|y)",
    "wedge": r"wedges?",
    "sling": r"sling",
    "tote": r"tote",
    "laptop": r"laptop",
    "messenger": r"messenger",
    "hobo": r"hobo",
    "analogue": r"analog(ue)?",
    "digital": r"digital",
    "chronograph": r"chronograph",
    "dial": r"dial",
    "aviator": r"aviators?",
    "wayfarer": r"wayfarers?",
    "rectangular": r"rectangular",
    "mid-top": r"mid",
    "high-top": r"high top|hi",
    "ankle-length": r"ankle",
    "running": r"running",
    "football": r"football|soccer",
    "casual": r"casual",
    "formal": r"formal",
    "pack of two": r"pack of (2|two)",
    "pack of three": r"pack of (3|three)",
}
WEARERS = {"men": "men's", "women": "women's", "boys": "boys'", "girls": "girls'",
           "unisex": "unisex"}  # fmt: skip
_WEARER = r"men|women|man|woman|boys?|girls?|unisex|kids?|mens|womens"
_TYPE_SAYS = {"casual", "formal", "laptop", "messenger", "running", "football", "striped"}


def caption_of(
    title: str, type_: str | None, colour: str | None, gender: str | None, pattern: str | None
) -> tuple[str, ...]:
    """The words of a product's caption; empty if the type is not known."""
    if type_ is None:
        return ()
    words: list[str] = []
    if gender:
        words.append(WEARERS[gender])
    if colour:
        words.append(colour)
        other = second_colour(title, colour)
        words.extend(["and", other] if other else [])
    if pattern and pattern != UNSTATED:
        words.append(pattern)
    said = seen_words(without_brand(title))
    words.extend(word for word in said if not _said(word, [*words, *type_.split()]))
    return (*words, type_)


def brand_of(title: str) -> str:
    """The part of a title before the wearer; the first word if no wearer comes early."""
    return title[: len(title) - len(without_brand(title))]


def without_brand(title: str) -> str:
    """A title from the wearer on; from the second word if no wearer is in the first six words."""
    brand = re.match(rf"(?:\S+\s+){{0,5}}?(?=(?:{_WEARER})\b)", title, re.I)
    brand = brand or re.match(r"\S+\s*", title)
    return title[brand.end() :] if brand else title


def seen_words(title: str) -> list[str]:
    """The words of `SEEN_WORDS` that match a title, in the title's order."""
    found = [
        (match.start(), word)
        for word, said in SEEN_WORDS.items()
        if (match := re.search(rf"\b({said})\b", title, re.I))
    ]
    return [word for _, word in sorted(found)]


def second_colour(title: str, colour: str) -> str | None:
    """The other colour of a pair such as "Black & White": the one that is not ``colour``.

    None without a pair, or if both or none of the pair's colours differ from ``colour``.
    """
    names = "|".join(sorted(PLAIN_COLOURS, key=len, reverse=True))
    pair = re.search(rf"\b({names}) ?(?:&|and|/) ?({names})\b", title, re.I)
    if not pair:
        return None
    both = [pair[1].lower(), pair[2].lower()]
    others = [name for name in both if name != colour]
    return others[0] if len(others) == 1 else None


def vocabulary_of(captions: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """All words of the captions, in alphabetical order."""
    return tuple(sorted({word for caption in captions for word in caption}))


def _said(word: str, words: Sequence[str]) -> bool:
    return word in words or (word in _TYPE_SAYS and any(word in said for said in words))


PLAIN_COLOURS = (
    "black", "blue", "navy blue", "white", "brown", "grey", "red", "green", "pink", "purple",
    "yellow", "orange", "beige", "maroon", "olive", "gold", "silver", "cream", "tan",
)  # fmt: skip
