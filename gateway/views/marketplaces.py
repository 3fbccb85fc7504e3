"""A caption in the shapes that marketplaces want: one small pure function each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from streams.events.models import Captioned

Listing = dict[str, str]

SURE = 0.6
_DEPARTMENTS = {"men": "Men", "women": "Women", "boys": "Kids", "girls": "Kids"}


def ebay(said: Captioned) -> Listing:
    """eBay: a title of at most 80 characters."""
    return {"title": said.caption[:80], "description": said.description}


def poshmark(said: Captioned) -> Listing:
    """Poshmark: a title of at most 80 characters, the wearer as a department."""
    listing = {"title": said.caption[:80], "description": said.description}
    department = _DEPARTMENTS.get(_sure(said, "gender"))
    return {**listing, "department": department} if department else listing


def vinted(said: Captioned) -> Listing:
    """Vinted: a title in sentence case, the colour in a field of its own."""
    title = said.caption[:1] + said.caption[1:].lower()
    listing = {"title": title, "description": said.description}
    colour = _sure(said, "colour")
    return {**listing, "colour": colour} if colour else listing


def depop(said: Captioned) -> Listing:
    """Depop: no title, and a description that ends in at most five hashtags."""
    named = [_sure(said, name) for name in ("type", "colour", "pattern", "gender", "neckline")]
    tags = ["#" + "".join(filter(str.isalnum, word)) for word in named if word]
    return {"description": " ".join([said.description, *tags[:5]])}


FORMATS: Mapping[str, Callable[[Captioned], Listing]] = {
    "ebay": ebay,
    "poshmark": poshmark,
    "vinted": vinted,
    "depop": depop,
}


def listings(said: Captioned) -> dict[str, Listing]:
    """The listing of every marketplace."""
    return {name: shaped(said) for name, shaped in FORMATS.items()}


def _sure(said: Captioned, name: str) -> str:
    """An attribute's word where it is sure enough to be stated, else nothing."""
    found = said.attributes.get(name)
    return str(found.value) if found and found.confidence >= SURE else ""
