"""BLEU and CIDEr-D on captions whose scores are known."""

from __future__ import annotations

import math

import pytest

from training.scoring.caption_metrics import bleu4, cider_d

SAME = [("men", "navy", "blue", "checked", "shirt"), ("women", "red", "cotton", "summer", "dress")]


def test_the_reference_itself_scores_full_marks() -> None:
    assert bleu4(SAME, SAME) == pytest.approx(1.0)
    assert cider_d(SAME, SAME) == pytest.approx(10.0)


def test_nothing_in_common_scores_nothing() -> None:
    other = [("a", "b", "c", "d", "e"), ("f", "g", "h", "i", "j")]
    assert bleu4(other, SAME) == 0
    assert cider_d(other, SAME) == 0


def test_a_short_caption_gets_the_brevity_penalty() -> None:
    short = [words[:4] for words in SAME]
    assert bleu4(short, SAME) == pytest.approx(math.exp(1 - 10 / 8))


def test_repeating_a_word_does_not_raise_the_score() -> None:
    stuffed = [(*words, words[-1], words[-1]) for words in SAME]
    assert cider_d(stuffed, SAME) < 9
    assert bleu4(stuffed, SAME) < 0.9
