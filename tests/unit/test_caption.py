"""Captions contain only words with enough confidence, in the order of a title."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.vision.networks.prediction import Prediction, Ranking
from agents.vision.text.caption import (
    EXTRA_WORDS,
    TITLE_LENGTH,
    attributes,
    can_describe,
    caption,
    description,
    needs_review,
)
from agents.vision.text.garments import NOTHING, can_have, every_word
from agents.vision.text.titles import Title
from agents.vision.text.vocabulary import Vocabulary

DRESS: Ranking = (("dress", 0.9), ("top", 0.05))
NAVY: Ranking = (("navy blue", 0.8), ("black", 0.1))
WOMEN: Ranking = (("women", 0.95), ("girls", 0.05))


def seen(
    types: Ranking = DRESS, colours: Ranking = NAVY, genders: Ranking = WOMEN, **more: Any
) -> Prediction:
    return Prediction(types, colours, genders, **more)


def title(*words: tuple[str, float] | str) -> Title:
    """Return a title. Words without a probability get 0.9."""
    return Title(tuple((w, 0.9) if isinstance(w, str) else w for w in words), -0.1)


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        (seen(), "Women's Navy Blue Dress"),
        (seen(types=(("t-shirt", 0.9),), genders=(("men", 0.99),)), "Navy Blue T-Shirt"),
        (seen(types=(("tie", 0.9),), genders=(("men", 0.99),)), "Men's Navy Blue Tie"),
        (seen(genders=(("boys", 0.86),)), "Boys' Navy Blue Dress"),
        (seen(genders=(("girls", 0.4), ("baby", 0.4))), "Kids' Navy Blue Dress"),
        (seen(genders=(("baby", 0.9),)), "Baby Navy Blue Dress"),
        (seen(genders=(("women", 0.8), ("girls", 0.2))), "Navy Blue Dress"),
        (seen(patterns=(("checked", 0.7), ("unstated", 0.3))), "Women's Navy Blue Checked Dress"),
        (seen(patterns=(("checked", 0.5), ("unstated", 0.4))), "Women's Navy Blue Dress"),
        (seen(patterns=(("unstated", 0.9), ("checked", 0.1))), "Women's Navy Blue Dress"),
        (seen(titles=(title("women's", "navy blue", "sleeveless", "dress"),)),
         "Women's Navy Blue Sleeveless Dress"),
        (seen(titles=(title("women's", ("sleeveless", 0.4), "dress"),)),
         "Women's Navy Blue Dress"),
        (seen(titles=(title("women's", "red", "lace", "top"),)), "Women's Navy Blue Dress"),
        (seen(titles=(title("navy blue", "and", "white", "dress"),)),
         "Women's Navy Blue and White Dress"),
        (seen(titles=(title("red", "and", "white", "dress"),)), "Women's Navy Blue Dress"),
        (seen(titles=(title("acme", "dress"),)), "Women's Navy Blue Dress"),
        (seen(colours=(("teal", 0.3), ("black", 0.2))), "Women's Dress"),
        (seen(titles=(title("navy blue", "dress"),), sleeves=(("long", 0.9),),
              necklines=(("v-neck", 0.9),)),
         "Women's Navy Blue Long-Sleeved V-Neck Dress"),
        (seen(titles=(title("navy blue", "hooded", "dress"),), necklines=(("hood", 0.2),)),
         "Women's Navy Blue Dress"),
        (seen(titles=(title("navy blue", "hooded", "dress"),), necklines=(("hood", 0.55),)),
         "Women's Navy Blue Hooded Dress"),
        (seen(titles=(title("navy blue", "sleeveless", "dress"),), sleeves=(("short", 0.9),)),
         "Women's Navy Blue Short-Sleeved Dress"),
        (seen(types=(("hoodie", 0.9),), genders=(), sleeves=(("long", 0.9),),
              necklines=(("hood", 0.9),)), "Navy Blue Hoodie"),
        (seen(types=(("jeans", 0.9),), genders=()), "Navy Blue Denim Jeans"),
        (seen(types=(("jeans", 0.6),), genders=()), "Navy Blue Jeans"),
        (seen(types=(("sweater", 0.9),), genders=(), sleeves=(("long", 0.9),)),
         "Navy Blue Long-Sleeved Knitted Sweater"),
        (seen(types=(("sweatshirt", 0.6), ("hoodie", 0.3)), genders=(),
              necklines=(("hood", 0.98),)), "Navy Blue Hooded Sweatshirt"),
        (seen(types=(("sweatshirt", 0.6), ("hoodie", 0.3)), genders=(),
              necklines=(("hood", 0.95),)), "Navy Blue Sweatshirt"),
        (seen(types=(("blazer", 0.9),), genders=(), necklines=(("hood", 0.99),)),
         "Navy Blue Blazer"),
        (seen(types=(("skirt", 0.9),), sleeves=(("long", 0.99),), necklines=(("v-neck", 0.99),)),
         "Women's Navy Blue Skirt"),
        (seen(types=((NOTHING, 0.6), ("dress", 0.4))), ""),
        (seen(types=(("face wash and cleanser", 0.9),), colours=(), genders=()),
         "Face Wash and Cleanser"),
        (seen(types=(("dress", 0.3), ("watch", 0.2))), "Navy Blue Garment"),
        (seen(types=(), colours=(), genders=()), "Garment"),
        (seen(types=(("handbag", 0.3), ("watch", 0.3)), colours=(), genders=()), "Fashion Item"),
    ],
)  # fmt: skip
def test_titles(prediction: Prediction, words: str) -> None:
    assert caption(prediction) == words


@pytest.mark.parametrize(
    ("types", "word"),
    [
        ((("jeans", 0.4), ("trousers", 0.3)), "Pants"),
        ((("casual shoes", 0.4), ("sports shoes", 0.4)), "Shoes"),
        ((("sandals", 0.4), ("flip flops", 0.4)), "Open Shoes"),
        ((("sweater", 0.4), ("long sleeve top", 0.2), ("jacket", 0.2)), "Long Sleeve Top"),
        ((("t-shirt", 0.4), ("shirt", 0.4)), "Top"),
        ((("polo shirt", 0.4), ("t-shirt", 0.3)), "T-Shirt"),
        ((("pants", 0.1), ("shorts", 0.3), ("skirt", 0.3)), "Bottoms"),
    ],
)
def test_a_broader_word_where_no_narrow_one_is_sure(types: Ranking, word: str) -> None:
    assert caption(seen(types=types, colours=(), genders=())) == word


def test_shades_share_their_colour() -> None:
    shades: Ranking = (("navy blue", 0.35), ("blue", 0.3), ("black", 0.2))
    assert caption(seen(colours=shades)) == "Women's Blue Dress"


@pytest.mark.parametrize(
    ("prediction", "text"),
    [
        (seen(), "A dress for women. The main colour is navy blue."),
        (seen(types=(("jeans", 0.9),), genders=()),
         "A pair of jeans. The main colour is navy blue."),
        (seen(types=(("undershirt", 0.9),), genders=(("boys", 0.9),), colours=()),
         "An undershirt for boys."),
        (seen(patterns=(("striped", 0.8),), sleeves=(("long", 0.9),)),
         "A dress for women. The main colour is navy blue. "
         "It has a striped pattern and long sleeves."),
        (seen(types=(("polo shirt", 0.7), ("t-shirt", 0.3)), genders=(),
              necklines=(("polo collar", 0.95),)),
         "A polo shirt. The main colour is navy blue. It has a polo collar."),
        (seen(types=(("t-shirt", 0.7), ("polo shirt", 0.3)), genders=(),
              necklines=(("polo collar", 0.99),)),
         "A t-shirt. The main colour is navy blue."),
        (seen(types=(), genders=(), colours=()),
         "A garment."),
        (seen(types=(("hat", 0.9),), genders=(), sleeves=(("long", 0.9),),
              necklines=(("hood", 0.9),)), "A hat. The main colour is navy blue."),
        (seen(types=((NOTHING, 0.9),)), ""),
    ],
)  # fmt: skip
def test_descriptions(prediction: Prediction, text: str) -> None:
    assert description(prediction) == text


def test_attributes_carry_their_confidence_sure_or_not() -> None:
    found = attributes(seen(types=(("dress", 0.41234567), ("watch", 0.3)), genders=WOMEN))
    assert found == {
        "type": {"value": "dress", "confidence": 0.4123, "needs_review": True},
        "colour": {"value": "navy blue", "confidence": 0.8, "needs_review": False},
    }


def test_the_wearer_has_the_confidence_of_the_age_group() -> None:
    found = attributes(seen(genders=(("women", 0.6), ("men", 0.35), ("girls", 0.05))))
    assert found["gender"] == {"value": "women", "confidence": 0.95, "needs_review": False}


def test_a_wearer_implied_by_a_doubtful_type_needs_review() -> None:
    found = attributes(seen(types=(("dress", 0.6), ("shirt", 0.4))))
    assert [found[name]["needs_review"] for name in ("type", "colour", "gender")] == [
        True,
        False,
        True,
    ]
    child = attributes(seen(types=(("dress", 0.6),), genders=(("girls", 0.9),)))
    assert child["gender"] == {"value": "girls", "confidence": 0.9, "needs_review": False}


def test_a_broader_attribute_has_its_members_confidence() -> None:
    found = attributes(seen(types=(("jeans", 0.4), ("trousers", 0.3))))
    assert found["type"] == {"value": "pants", "confidence": 0.7, "needs_review": False}


def test_nothing_known_gives_no_attributes() -> None:
    assert attributes(Prediction((), (), ())) == {}
    assert attributes(seen(types=((NOTHING, 0.9),))) == {}


@pytest.mark.parametrize(
    ("prediction", "wanted"),
    [
        (seen(), False),
        (seen(genders=()), False),
        (seen(types=(("jeans", 0.4), ("trousers", 0.3))), False),
        (seen(types=(("dress", 0.6),)), True),
        (seen(types=(("dress", 0.3),)), True),
        (seen(types=(("dress", 0.75), (NOTHING, 0.25))), True),
        (seen(types=((NOTHING, 0.99),)), True),
        (seen(colours=(("teal", 0.3),)), True),
        (seen(colours=(("blue", 0.6),), measured=(("navy blue", 0.9),)), False),
        (seen(colours=(("blue", 0.6),), measured=(("red", 0.9),)), True),
        (seen(colours=(("blue", 0.8),), measured=(("red", 0.9),)), False),
    ],
)
def test_needs_review_if_type_or_colour_is_uncertain(prediction: Prediction, wanted: bool) -> None:
    assert needs_review(prediction) is wanted


def test_the_vocabulary_replaces_the_networks_words() -> None:
    own = Vocabulary(
        said={"types": {"dress": "frock"}, "colours": {"navy blue": "navy"},
              "words": {"sleeveless": "strappy"}},
        leave_out=frozenset({"women's"}),
    )  # fmt: skip
    prediction = seen(titles=(title("women's", "navy blue", "sleeveless", "dress"),))
    assert caption(prediction, own) == "Navy Strappy Frock"
    assert description(prediction, own) == "A frock for women. The main colour is navy."
    assert attributes(prediction, own)["type"]["value"] == "frock"


def rankings(words: list[str]) -> st.SearchStrategy[Ranking]:
    weights = st.lists(st.floats(0.001, 1), min_size=1, max_size=len(words))

    def ranked(drawn: list[float]) -> Ranking:
        pairs = zip(words, (weight / sum(drawn) for weight in drawn), strict=False)
        return tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    return weights.map(ranked)


TYPES = [*every_word(), NOTHING, "watch"]


@given(
    types=rankings([*TYPES, "a " + "very " * 20 + "long word"]),
    colours=rankings(["navy blue", "grey melange", "multicolour"]),
    genders=rankings(["men", "women", "boys", "girls", "unisex", "baby"]),
    sleeves=rankings(["long", "short", "sleeveless"]),
    necklines=rankings(["hood", "polo collar", "round neck", "v-neck"]),
)
def test_any_prediction_gives_a_short_title_and_up_to_three_sentences(
    types: Ranking, colours: Ranking, genders: Ranking, sleeves: Ranking, necklines: Ranking
) -> None:
    prediction = Prediction(types, colours, genders, sleeves=sleeves, necklines=necklines)
    words, text = caption(prediction), description(prediction)
    nothing = dict(types).get(NOTHING, 0.0) >= 0.5
    assert (words == "") is (text == "") is nothing
    assert len(words) <= TITLE_LENGTH
    assert words == " ".join(words.split())
    assert len(re.findall(r"\.(?: |$)", text)) <= 3
    assert all(0 <= float(found["confidence"]) <= 1 for found in attributes(prediction).values())
    found = attributes(prediction)
    allowed = can_have(str(found["type"]["value"])) if found else frozenset()
    assert {"sleeve", "neckline", "pattern"} & set(found) <= allowed


@pytest.mark.parametrize("word", sorted(EXTRA_WORDS))
def test_every_further_word_describes_some_type(word: str) -> None:
    assert any(can_describe(word, type_) for type_ in (*every_word(), "sunglasses", "watch"))


@pytest.mark.parametrize(
    ("word", "type_"),
    [
        ("v-neck", "trousers"), ("sleeveless", "hat"), ("hooded", "shoes"), ("denim", "watch"),
        ("tote", "dress"), ("long-sleeved", "long sleeve top"), ("polo", "t-shirt"),
        ("casual", None),
    ],
)  # fmt: skip
def test_further_words_are_left_out_where_they_are_wrong_or_said_twice(
    word: str, type_: str | None
) -> None:
    assert not can_describe(word, type_)
