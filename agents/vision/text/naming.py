"""Decides which words a caption may use, from the networks' probabilities. Pure functions.

A type is named if its probability reaches a threshold; else the narrowest broader type that
reaches it. A child is named if its probability is high. An adult wearer is named only if the type
implies the wearer and a child is improbable. Sleeves, necklines and patterns are named only for
types that can have them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from agents.vision.text.garments import (
    COLOUR_MEMBERS,
    NOTHING,
    above,
    can_have,
    implied_wearer,
    share_of,
)

PRECISION = 0.93
"""The default precision: the share of captions whose type should not be wrong."""

Shares = Mapping[str, float]
CHILDREN = ("boys", "girls", "baby")
# The neckline head calls many open fronts a hood and many plain necks a polo collar. So these two
# necklines need a type with this neckline that has at least the given probability, and a hood also
# needs a higher probability of its own. (neckline: type, least share of type, of neckline.)
NECKLINE_EVIDENCE = {"hood": ("hoodie", 0.2, 0.97), "polo collar": ("polo shirt", 0.5, 0.0)}
UNSTATED = "unstated"


@dataclass(frozen=True)
class Thresholds:
    """Lowest probabilities at which a word is named, and at which it needs no review.

    At a probability of "no garment" of ``nothing`` or more, no garment is named; at
    ``maybe_nothing`` or more, a named garment needs review. A child is named at ``kids`` or more.
    An adult can be named if the probability of a child is below ``adult``.
    """

    type: float = 0.5
    type_sure: float = 0.7
    colour: float = 0.45
    colour_sure: float = 0.6
    nothing: float = 0.5
    maybe_nothing: float = 0.2
    kids: float = 0.6
    adult: float = 0.1
    pattern: float = 0.6
    sleeve: float = 0.8
    neckline: float = 0.6

    def to_json(self) -> str:
        """Return the thresholds as JSON, for the metadata of a weights file."""
        return json.dumps({name: round(value, 4) for name, value in asdict(self).items()})


@dataclass(frozen=True)
class Named:
    """The words for a photo. ``review`` names those that a person should check.

    ``share`` and ``colour_share`` are the probabilities of type and colour; without a type or
    colour, of the most probable word. ``wearer_share`` is the probability of the wearer's age
    group.
    """

    type: str | None
    share: float
    colour: str | None = None
    colour_share: float = 0.0
    wearer: str | None = None
    wearer_share: float = 0.0
    details: tuple[tuple[str, str], ...] = ()
    review: frozenset[str] = frozenset()

    @property
    def is_nothing(self) -> bool:
        return self.type == NOTHING

    @property
    def pattern(self) -> str | None:
        return dict(self.details).get("pattern")


def named_type(shares: Shares, enough: float) -> tuple[str | None, float]:
    """Return the narrowest type that reaches ``enough``, and its probability.

    Tries the most probable type, then the broader words above it. If none reaches ``enough``,
    returns None and the probability of the most probable type.
    """
    types = {word: share for word, share in shares.items() if word != NOTHING}
    if not types:
        return None, 0.0
    best = max(types, key=lambda word: types[word])
    for word in (best, *above(best)):
        if word == "garment":
            break
        share = share_of(word, types)
        if share >= enough:
            return word, share
    return None, types[best]


def named_colour(shares: Shares, enough: float) -> tuple[str | None, float]:
    """Return the most probable colour, or its broader colour, that reaches ``enough``.

    Else returns None and the probability of the most probable colour.
    """
    if not shares:
        return None, 0.0
    best = max(shares, key=lambda word: shares[word])
    if shares[best] >= enough:
        return best, shares[best]
    for broad, members in COLOUR_MEMBERS.items():
        if best == broad or best in members:
            share = shares.get(broad, 0.0) + sum(shares.get(m, 0.0) for m in members)
            if share >= enough:
                return broad, share
    return None, shares[best]


def childs_share(genders: Shares) -> float:
    """Return the probability that the garment is a child's."""
    return sum(genders.get(word, 0.0) for word in CHILDREN)


def named_wearer(type_: str | None, genders: Shares, at: Thresholds) -> str | None:
    """Return the wearer if there is enough evidence for one; else None."""
    child = childs_share(genders)
    if child >= at.kids:
        best = max(CHILDREN, key=lambda word: genders.get(word, 0.0))
        return best if genders.get(best, 0.0) >= at.kids else "kids"
    if type_ and genders and child < at.adult:
        return implied_wearer(type_)
    return None


def is_nothing(types: Shares, at: Thresholds) -> bool:
    """Tell whether the photo shows no garment and no other product of the vocabulary."""
    return types.get(NOTHING, 0.0) >= at.nothing


def named(shares: Mapping[str, Shares], at: Thresholds) -> Named:
    """Return all words that a caption may use. ``shares`` has the probabilities of each head."""
    nothing = shares["type"].get(NOTHING, 0.0)
    if is_nothing(shares["type"], at):
        return Named(NOTHING, nothing, review=frozenset({"type"}))
    type_, share = named_type(shares["type"], at.type)
    colour, colours = named_colour(shares["colour"], at.colour)
    wearer = named_wearer(type_, shares["gender"], at)
    child = childs_share(shares["gender"])
    review = set()
    if type_ is None or share < at.type_sure or nothing >= at.maybe_nothing:
        review.add("type")
    if colour is None or colours < at.colour_sure:
        review.add("colour")
    return Named(
        type_,
        share,
        colour,
        colours,
        wearer,
        1 - child if wearer in ("men", "women") else child,
        _details(shares, type_ or "garment", at),
        frozenset(review),
    )


def _details(
    shares: Mapping[str, Shares], type_: str, at: Thresholds
) -> tuple[tuple[str, str], ...]:
    """Return pattern, sleeve and neckline that the type can have and that reach a threshold."""
    found = []
    for head in ("pattern", "sleeve", "neckline"):
        if head in can_have(type_) and shares.get(head):
            word, share = max(shares[head].items(), key=lambda pair: pair[1])
            if share < getattr(at, head) or word == UNSTATED:
                continue
            if head != "neckline" or _has_evidence(word, share, shares["type"]):
                found.append((head, word))
    return tuple(found)


def _has_evidence(neckline: str, share: float, types: Shares) -> bool:
    """Tell whether the types agree with a hood or a polo collar. Other necklines need none."""
    if neckline not in NECKLINE_EVIDENCE:
        return True
    type_, least, least_own = NECKLINE_EVIDENCE[neckline]
    return share_of(type_, types) >= least and share >= least_own
