"""Listing texts in the format of each marketplace. One pure function for each marketplace."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from streams.events.models import Captioned

Listing = dict[str, str]

MIN_CONFIDENCE = 0.6
_DEPARTMENTS = {
    "men": "Men",
    "women": "Women",
    "boys": "Kids",
    "girls": "Kids",
    "kids": "Kids",
    "baby": "Kids",
}


def ebay(captioned: Captioned) -> Listing:
    """eBay: a title of at most 80 characters."""
    return {"title": captioned.caption[:80], "description": captioned.description}


def poshmark(captioned: Captioned) -> Listing:
    """Poshmark: a title of at most 80 characters, and a department from the attribute `gender`."""
    listing = {"title": captioned.caption[:80], "description": captioned.description}
    department = _DEPARTMENTS.get(_attribute(captioned, "gender"))
    return {**listing, "department": department} if department else listing


def vinted(captioned: Captioned) -> Listing:
    """Vinted: a title in sentence case, and a separate field for the colour."""
    title = captioned.caption[:1] + captioned.caption[1:].lower()
    listing = {"title": title, "description": captioned.description}
    colour = _attribute(captioned, "colour")
    return {**listing, "colour": colour} if colour else listing


def depop(captioned: Captioned) -> Listing:
    """Depop: no title; the description ends with at most five hashtags."""
    words = [
        _attribute(captioned, name) for name in ("type", "colour", "pattern", "gender", "neckline")
    ]
    tags = ["#" + "".join(filter(str.isalnum, word)) for word in words if word]
    return {"description": " ".join([captioned.description, *tags[:5]])}


FORMATS: Mapping[str, Callable[[Captioned], Listing]] = {
    "ebay": ebay,
    "poshmark": poshmark,
    "vinted": vinted,
    "depop": depop,
}


def listings(captioned: Captioned) -> dict[str, Listing]:
    """Return the listing for every marketplace, by name."""
    return {name: build(captioned) for name, build in FORMATS.items()}


def _attribute(captioned: Captioned, name: str) -> str:
    """Return the attribute's value, or an empty text below `MIN_CONFIDENCE`."""
    found = captioned.attributes.get(name)
    return str(found.value) if found and found.confidence >= MIN_CONFIDENCE else ""
