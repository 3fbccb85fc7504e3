"""A user's vocabulary: it renames the networks' words, and its errors are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.vision.networks.prediction import Prediction
from agents.vision.text.vocabulary import Vocabulary, VocabularyError

CLASSES = {
    "type": ("dress", "lounge tshirt", "t-shirt"), "colour": ("blue", "navy blue"),
    "gender": ("men", "women"), "pattern": ("checked",), "sleeve": ("long",), "neckline": ("hood",),
}  # fmt: skip
WORDS = ("polo", "round-neck")


def vocabulary(tmp_path: Path, text: str) -> Vocabulary:
    path = tmp_path / "words.yaml"
    path.write_text(text)
    return Vocabulary.load(path, CLASSES, WORDS)


def test_classes_that_share_a_word_add_up(tmp_path: Path) -> None:
    own = vocabulary(tmp_path, "types: {tee: [t-shirt, lounge tshirt]}")
    seen = Prediction((("dress", 0.4), ("t-shirt", 0.3), ("lounge tshirt", 0.3)), (), ())
    joined = own.joined_in(seen)
    assert joined.types == (("t-shirt", 0.6), ("dress", 0.4))
    assert [own.word("types", word) for word, _ in joined.types] == ["tee", "dress"]


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    seen = Prediction((("dress", 1.0),), (("blue", 1.0),), ())
    assert vocabulary(tmp_path, "").joined_in(seen) == seen


def test_the_version_depends_on_the_content(tmp_path: Path) -> None:
    first = vocabulary(tmp_path, "types: {frock: [dress]}").version
    assert first != vocabulary(tmp_path, "types: {gown: [dress]}").version
    assert first == vocabulary(tmp_path, "types: {frock: [dress]}").version


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("types: {frock: [dres]}", "no 'dres'; did you mean 'dress'?"),
        ("typos: {}", "no section 'typos'; did you mean 'types'?"),
        ("types: {frock: dress}", "a list of the networks' words"),
        ("types: {a: [dress], b: [dress]}", "stands under 'a' and under 'b'"),
        ("words: {crew: [crewneck]}", "no 'crewneck'"),
        ("leave_out: polo", "a list of words is wanted"),
        ("- dress", "a mapping of sections is wanted"),
        ("types: [", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(VocabularyError, match=message.replace("?", r"\?")):
        vocabulary(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"none\.yaml cannot be read"):
        Vocabulary.load(tmp_path / "none.yaml", CLASSES, WORDS)
