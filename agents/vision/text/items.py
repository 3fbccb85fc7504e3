"""The words for each garment of a photo: its type and its colour. Pure functions.

The network's types are of the whole photo. The type of one of several garments is the most probable
type of its kind: among trousers, jeans and so on for "pants". With one garment, type and colour are
those of the caption.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agents.vision.networks.prediction import Found, Prediction, Ranking
from agents.vision.text.caption import what_is_sure
from agents.vision.text.garments import COLOUR_MEMBERS, NOTHING, above, below, share_of
from agents.vision.text.vocabulary import PLAIN, Vocabulary

Box = tuple[float, float, float, float]

KINDS: dict[str, tuple[str, ...]] = {
    "top": ("top",),
    "outerwear": ("outerwear", "suit"),
    "dress": ("dress", "one-piece"),
    "pants": ("pants",),
    "skirt": ("skirt",),
    "shorts": ("shorts",),
    "shoes": ("shoes",),
    "headwear": ("headwear",),
    "bag": ("bag",),
}
"""The words of each part that can be a garment of its own."""
TYPE_FROM, COLOUR_FROM = 0.8, 0.45
_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Described:
    """One garment: words of the user's vocabulary, box, and the type's probability.

    ``colour`` is None if no colour has `COLOUR_FROM` of the garment's pixels.
    """

    type: str
    colour: str | None
    box: Box
    confidence: float


def described_items(seen: Prediction, own: Vocabulary = PLAIN) -> tuple[Described, ...]:
    """Return the garments of a photo, the main one first; none for a photo without a garment."""
    sure = what_is_sure(seen)
    if sure.is_nothing:
        return ()
    if len(seen.items) < 2:
        types = [pair for pair in seen.types if pair[0] != NOTHING]
        noun, share = sure.type or (types[0][0] if types else "garment"), sure.share
        box = _WHOLE
        if seen.items and (sure.type is None or is_of(sure.type, seen.items[0].part)):
            box = seen.items[0].box
            if sure.type is None:
                noun, share = _type(seen.items[0].part, seen.types)
                share *= seen.items[0].share
        colour = own.word("colours", sure.colour) if sure.colour else None
        return (Described(own.word("types", noun), colour, box, round(min(share, 1.0), 4)),)
    return tuple(_described(found, seen, own) for found in seen.items)


def main_first(seen: Prediction) -> Prediction:
    """Return the prediction with the garment that the caption names as the first item.

    The order stays if the caption names no type, or a type of no item.
    """
    named = what_is_sure(seen).type
    if named is None or len(seen.items) < 2:
        return seen
    return replace(
        seen, items=tuple(sorted(seen.items, key=lambda one: not is_of(named, one.part)))
    )


def is_of(word: str, part: str) -> bool:
    """Tell whether a type is of a part's kind."""
    return any(word in below(broad) for broad in KINDS[part])


def narrowed(seen: Prediction, part: str) -> Prediction:
    """Return the prediction with only the types of a part, whose probabilities sum to at most 1."""
    return replace(seen, types=_of_part(part, seen.types))


def _described(found: Found, seen: Prediction, own: Vocabulary) -> Described:
    word, share = _type(found.part, seen.types)
    colour = main_colour(found.colours)
    return Described(
        own.word("types", word),
        own.word("colours", colour) if colour else None,
        found.box,
        round(share * found.share, 4),
    )


def _type(part: str, types: Ranking) -> tuple[str, float]:
    """Return the narrowest word of a part that is probable enough, and its probability."""
    shares = dict(_of_part(part, types))
    broadest = KINDS[part][0]
    if shares:
        best = max(shares, key=lambda word: shares[word])
        words = {word for broad in KINDS[part] for word in below(broad)}
        for word in (best, *above(best)):
            if word in words and (share := share_of(word, shares)) >= TYPE_FROM:
                return word, min(share, 1.0)
    return broadest, 1.0


def _of_part(part: str, types: Ranking) -> Ranking:
    words = {word for broad in KINDS[part] for word in below(broad)}
    kept = [(word, share) for word, share in types if word in words]
    whole = sum(share for _, share in kept)
    return tuple((word, int(share / whole * 1e6) / 1e6) for word, share in kept) if whole else ()


def main_colour(measured: Ranking) -> str | None:
    """Return the colour that has `COLOUR_FROM` of the measured pixels, with its shades; or None.

    A shade, such as "navy blue", is named if it has most of the colour's pixels.
    """
    shares = dict(measured)
    for word, _ in measured:
        broad = next((b for b, members in COLOUR_MEMBERS.items() if word in members), word)
        kin = (broad, *COLOUR_MEMBERS.get(broad, ()))
        total = sum(shares.get(each, 0.0) for each in kin)
        if total >= COLOUR_FROM:
            return word if shares[word] >= 0.7 * total else broad
    return None
