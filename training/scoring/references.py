"""Words of captions and of shop titles after the brand, in one spelling, for comparison."""

import re
from collections.abc import Iterable, Sequence

from agents.vision.networks.prediction import Prediction
from agents.vision.text.caption import WEARERS, caption, what_is_sure
from training.photos.titles import brand_of, without_brand

NO_BRANDS = {(word,) for word in ("and", "black", "denim", "pink", "red")}
SPELLINGS = {
    "mens": "men", "womens": "women", "boy": "boys", "girl": "girls", "tshirt": "t-shirt",
    "tshirts": "t-shirt", "t-shirts": "t-shirt", "tee": "t-shirt", "check": "checked",
    "checks": "checked", "stripe": "striped", "stripes": "striped", "print": "printed",
    "shirts": "shirt", "shoe": "shoes", "watches": "watch", "tops": "top", "kurtas": "kurta",
    "handbags": "handbag", "belts": "belt", "dresses": "dress", "wallets": "wallet",
    "jackets": "jacket", "sweaters": "sweater", "sweatshirts": "sweatshirt", "skirts": "skirt",
    "backpacks": "backpack", "ties": "tie", "caps": "cap", "sarees": "sari", "saree": "sari",
    "trouser": "trousers", "flop": "flops", "sandal": "sandals", "brief": "briefs",
}  # fmt: skip


def words_of(text: str) -> list[str]:
    """Lower-case words in one spelling, without possessive endings and numbers."""
    found = re.findall(r"[a-z][a-z-]*", re.sub(r"['’]s?\b", "", text.lower()))
    return [SPELLINGS.get(word, word) for word in found]


def brands_of(titles: Iterable[str]) -> frozenset[tuple[str, ...]]:
    """The brands at the start of the titles, without the words of `NO_BRANDS`.

    In "Red Women Top", "red" is not a brand.
    """
    found = {tuple(words_of(brand_of(title))) for title in titles}
    return frozenset(brand for brand in found if brand and brand not in NO_BRANDS)


def reference_of(title: str) -> tuple[str, ...]:
    """The words of a title after the brand."""
    return tuple(words_of(without_brand(title)))


def spoken(seen: Prediction) -> tuple[str, ...]:
    """The caption's words in one spelling."""
    return tuple(words_of(caption(seen)))


def names_a_brand(words: Sequence[str], brands: frozenset[tuple[str, ...]]) -> bool:
    """Whether a caption contains a brand of one to four consecutive words."""
    return any(
        tuple(words[i : i + length]) in brands
        for length in range(1, 5)
        for i in range(len(words) - length + 1)
    )


def said_in(seen: Prediction) -> dict[str, str]:
    """The confident type, colour and gender that appear in the caption."""
    text = f" {caption(seen).lower()} "
    sure = what_is_sure(seen)
    found = {"type": sure.type, "colour": sure.colour, "gender": sure.wearer}
    return {
        head: word
        for head, word in found.items()
        if word and (f" {WEARERS[word][0].lower()} " if head == "gender" else word) in text
    }
