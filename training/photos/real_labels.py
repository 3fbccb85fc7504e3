"""Labels of people's photos, street photos and photos without a garment, as sets of types.

Any type of a set may be the true one. A network may therefore spread its probability over the set.
Pure, no files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from agents.vision.text.garments import NOTHING
from training.photos.titles import without_brand

HELD_OUT_SENDERS_PERCENT = 20
HELD_OUT_PHOTOS_PERCENT = 15
# Five senders sent a third of the photos. These senders are never held out. The salt was chosen so
# that the held-out senders have a fair share of each rare label and of children's garments.
LARGEST_SENDERS = {"181", "48", "260", "322", "262"}
SALT = "sender-17"

PANTS = (
    "trousers", "jeans", "track pants", "leggings", "jeggings", "capri pants", "lounge pants",
    "tights",
)  # fmt: skip
OPEN_SHOES = ("sandals", "flip flops", "sports sandals")
SHOES = (
    "casual shoes", "sports shoes", "formal shoes", "heels", "flats", "sneakers", "boots",
    "loafers", *OPEN_SHOES,
)  # fmt: skip
BAGS = ("handbag", "backpack", "clutch", "laptop bag", "duffel bag", "messenger bag")
PEOPLE_LABELS: dict[str, tuple[str, ...]] = {
    "T-Shirt": ("t-shirt",),
    "Longsleeve": ("long sleeve top", "sweater", "sweatshirt", "cardigan"),
    "Pants": PANTS,
    "Shoes": SHOES,
    "Shirt": ("shirt", "blouse"),
    "Dress": ("dress",),
    "Outwear": ("jacket", "coat", "rain jacket", "nehru jacket", "waistcoat"),
    "Shorts": ("shorts", "lounge shorts"),
    "Hat": ("hat", "cap", "beanie"),
    "Skirt": ("skirt",),
    "Polo": ("polo shirt",),
    "Undershirt": ("undershirt", "tank top", "camisole"),
    "Blazer": ("blazer",),
    "Hoodie": ("hoodie",),
    "Body": ("bodysuit", "romper", "jumpsuit"),
    "Top": ("top", "tank top", "camisole"),
    "Blouse": ("blouse", "tunic"),
}
"""Types by label of people's photos. The labels "Not sure", "Other" and "Skip" have no types."""

PEOPLE_SLEEVES = {
    "T-Shirt": "short", "Longsleeve": "long", "Outwear": "long", "Polo": "short",
    "Undershirt": "sleeveless", "Blazer": "long", "Hoodie": "long",
}  # fmt: skip
PEOPLE_NECKLINES = {"Polo": "polo collar", "Hoodie": "hood"}
STREET_TAGS: dict[str, tuple[str, ...]] = {
    "bag": BAGS, "belt": ("belt",), "blazer": ("blazer",), "blouse": ("blouse",),
    "bodysuit": ("bodysuit",), "boots": ("boots",), "bra": ("bra",), "bracelet": ("bracelet",),
    "cape": ("coat",), "cardigan": ("cardigan",), "clogs": SHOES, "coat": ("coat",),
    "dress": ("dress",), "earrings": ("earrings",), "flats": ("flats",),
    "gloves": ("gloves",), "hat": ("hat", "cap", "beanie"), "heels": ("heels",),
    "hoodie": ("hoodie",), "jacket": ("jacket",), "jeans": ("jeans",),
    "jumper": ("sweater", "jumpsuit", "romper"), "leggings": ("leggings",),
    "loafers": ("loafers",), "necklace": ("necklace", "pendant"),
    "pants": ("trousers", "track pants", "leggings", "capri pants", "jeans"),
    "pumps": ("heels",), "purse": ("handbag", "clutch", "wallet"), "ring": ("ring",),
    "romper": ("romper", "jumpsuit"), "sandals": ("sandals", "heels"),
    "scarf": ("scarf", "stole", "muffler"), "shirt": ("shirt", "blouse"), "shoes": SHOES,
    "shorts": ("shorts",), "skirt": ("skirt",), "sneakers": ("sneakers",), "socks": ("socks",),
    "stockings": ("stockings", "tights"), "suit": ("suit", "blazer"),
    "sunglasses": ("sunglasses",), "sweater": ("sweater",), "sweatshirt": ("sweatshirt", "hoodie"),
    "swimwear": ("swimwear",), "t-shirt": ("t-shirt",), "tie": ("tie",),
    "tights": ("tights", "stockings", "leggings"),
    "top": ("top", "tank top", "camisole", "t-shirt"), "vest": ("waistcoat", "tank top"),
    "wallet": ("wallet", "clutch"), "watch": ("watch",), "wedges": ("heels",),
}  # fmt: skip
"""Types by tag of street photos. Tags without a garment, such as skin and hair, are left out."""

MAIN_TAGS = {
    "blazer", "blouse", "bodysuit", "cape", "cardigan", "coat", "dress", "hoodie", "jacket",
    "jeans", "jumper", "leggings", "pants", "romper", "shirt", "shorts", "skirt", "suit",
    "sweater", "sweatshirt", "swimwear", "t-shirt", "top", "vest",
}  # fmt: skip
"""Tags that can be the main garment of an outfit."""

# Shop types that titles narrow: (shop type, regular expression for the title, types). The first
# match counts. If an entry lists two types, either may be true.
NARROWED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("t-shirt", r"polo", ("polo shirt",)),
    ("sweatshirt", r"hood\w*", ("hoodie",)),
    ("sweater", r"cardigan", ("cardigan",)),
    ("top", r"tank|spaghetti", ("tank top",)),
    ("t-shirt", r"tank", ("tank top",)),
    ("jacket", r"blazer", ("blazer",)),
    ("cap", r"beanie", ("beanie",)),
    ("casual shoes", r"boots?", ("boots",)),
    ("flats", r"boots?", ("boots",)),
    ("formal shoes", r"boots?", ("boots",)),
    ("casual shoes", r"loafers?", ("loafers", "casual shoes")),
    ("formal shoes", r"loafers?", ("loafers", "formal shoes")),
    ("casual shoes", r"sneakers?", ("sneakers", "casual shoes")),
    ("sports shoes", r"sneakers?", ("sneakers", "sports shoes")),
    ("pyjamas", r"jumpsuit", ("jumpsuit",)),
)
# Words of the vocabulary for shop types with the same meaning.
SAME = {"rompers": "romper", "booties": "boots", "bootie": "boots", "hat": "hat"}
# By new word, the old word whose weights initialise the new word's weights.
RELATIVES = {
    "hoodie": "sweatshirt", "polo shirt": "t-shirt", "tank top": "undershirt", "blouse": "top",
    "cardigan": "sweater", "coat": "outerwear", "jacket": "outerwear", "boots": "casual shoes",
    "sneakers": "casual shoes", "loafers": "formal shoes", "bodysuit": "undershirt",
    "romper": "dress", "jumpsuit": "dress", "beanie": "cap", "suit": "outerwear",
    "blazer": "outerwear", "baby": "girls",
}  # fmt: skip


def narrowed(type_: str | None, title: str) -> tuple[str, ...]:
    """Possible types of a shop photo, by article type and title; empty without an article type."""
    if type_ is None:
        return ()
    type_ = SAME.get(type_, type_)
    said = without_brand(title)
    for shops, pattern, types in NARROWED:
        if type_ == shops and re.search(rf"\b({pattern})\b", said, re.I):
            return types
    return (type_,)


def wearers_of(label: str, kids: bool) -> tuple[str, ...]:
    """Possible wearers of the garment on a people's photo."""
    if not kids:
        return ("men", "women", "unisex")
    return ("baby",) if label == "Body" else ("boys", "girls", "baby")


def shop_wearer(gender: str | None, title: str) -> str | None:
    """The wearer on a shop photo: ``gender``, or "baby" if the title names a baby or an infant.

    The genders "men" and "women" are never replaced.
    """
    return "baby" if re.search(r"\b(infant|baby)\b", title, re.I) and gender in {
        "boys", "girls", "unisex"
    } else gender  # fmt: skip


def sender_is_held_out(sender: str) -> bool:
    """Whether all photos of a sender are held out. The sender's number alone decides."""
    return sender not in LARGEST_SENDERS and _bucket(f"{SALT} {sender}") < HELD_OUT_SENDERS_PERCENT


def photo_is_held_out(name: str) -> bool:
    """Whether a street photo or a photo without a garment is held out. The name alone decides."""
    return _bucket(name.split(".")[0]) < HELD_OUT_PHOTOS_PERCENT


def tag_types(tags: Sequence[str]) -> tuple[str, ...]:
    """All types of these tags, without repetition, in the order of the tags."""
    found = {type_: None for tag in tags for type_ in STREET_TAGS.get(tag, ())}
    return tuple(found)


def no_garment() -> tuple[str, ...]:
    """The types of a photo without a garment."""
    return (NOTHING,)


def _bucket(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 100
