"""Beam search over a title network of known weights."""

from __future__ import annotations

import torch

from agents.vision.networks.title import BEGIN, END, Seen, TitleDecoder
from agents.vision.text.titles import LONGEST, beam_search

WORDS = ("<begin>", "<end>", "red", "blue", "dress")


def decoder(bias: dict[str, float]) -> TitleDecoder:
    """Return a network whose logits are ``bias`` for every input."""
    torch.manual_seed(0)
    made = TitleDecoder(len(WORDS), 6, 3).eval()
    with torch.no_grad():
        made.words.weight.zero_()
        made.words.bias.copy_(torch.tensor([bias.get(word, -9.0) for word in WORDS]))
    return made


def seen(count: int) -> Seen:
    return Seen(torch.rand(count, 4, 6), torch.rand(count, 3))


def test_titles_are_ranked_and_have_word_probabilities() -> None:
    titles = beam_search(decoder({"dress": 1.0, "<end>": 1.2}), WORDS, seen(2))
    assert len(titles) == 2
    for ranked in titles:
        scores = [title.score for title in ranked]
        assert scores == sorted(scores, reverse=True)
        words = [tuple(word for word, _ in title.words) for title in ranked]
        assert () in words
        assert ("dress",) in words
        assert all(0.3 < share < 0.6 for title in ranked for _, share in title.words)


def test_a_title_has_a_maximum_length() -> None:
    (ranked,) = beam_search(decoder({"red": 9.0}), WORDS, seen(1))
    assert max(len(title.words) for title in ranked) == LONGEST


def test_the_title_depends_on_the_photo() -> None:
    torch.manual_seed(3)
    made = TitleDecoder(len(WORDS), 6, 3).eval()
    one, other = beam_search(made, WORDS, Seen(torch.eye(2, 24).view(2, 4, 6) * 9, torch.eye(2, 3)))
    assert one != other


def test_a_batch_gives_the_same_titles_as_single_photos() -> None:
    torch.manual_seed(1)
    made = TitleDecoder(len(WORDS), 6, 3).eval()
    both = seen(3)
    together = beam_search(made, WORDS, both)
    alone = [beam_search(made, WORDS, Seen(both.places[i : i + 1], both.facts[i : i + 1]))[0]
             for i in range(3)]  # fmt: skip
    assert [[t.words for t in ranked] for ranked in together] == [
        [t.words for t in ranked] for ranked in alone
    ]
    assert (BEGIN, END) == (0, 1)
