"""Titles by beam search over the title network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.vision.networks.title import BEGIN, END, Seen, TitleDecoder

BEAM = 4
LONGEST = 12
_SHORT_PENALTY = 0.7


@dataclass(frozen=True)
class Title:
    """Words with their conditional probabilities, and the log-probability of the title.

    ``score`` is divided by the length to the power 0.7 (Wu et al. 2016), so that long titles can
    win.
    """

    words: tuple[tuple[str, float], ...]
    score: float


@torch.inference_mode()
def beam_search(
    decoder: TitleDecoder, vocabulary: Sequence[str], seen: Seen, beam: int = BEAM
) -> list[tuple[Title, ...]]:
    """Return the best ``beam`` titles of each photo, best first. All photos are searched
    together."""
    count = len(seen.facts)
    wide = Seen(seen.places.repeat_interleave(beam, 0), seen.facts.repeat_interleave(beam, 0))
    state = decoder.start(wide)
    tokens = torch.full((count * beam, 1), BEGIN)
    chances = torch.zeros(count * beam, 1)
    totals = torch.tensor([0.0] + [-torch.inf] * (beam - 1)).repeat(count)
    for _ in range(LONGEST):
        ended = (tokens[:, -1] == END) & (tokens.shape[1] > 1)
        logits, state = decoder.step(tokens[:, -1], state, wide)
        logs = logits.log_softmax(dim=1)
        logs[:, BEGIN] = -torch.inf
        logs[ended] = -torch.inf
        logs[ended, END] = 0.0
        best, place = (totals[:, None] + logs).view(count, -1).topk(beam, dim=1)
        origin = (place // logs.shape[1] + torch.arange(count)[:, None] * beam).flatten()
        word = (place % logs.shape[1]).flatten()
        totals, state = best.flatten(), state[origin]
        tokens = torch.cat([tokens[origin], word[:, None]], dim=1)
        chances = torch.cat([chances[origin], logs[origin, word].exp()[:, None]], dim=1)
        if bool((word == END).all()):
            break
    return [
        _ranked(vocabulary, tokens[rows], chances[rows], totals[rows])
        for rows in torch.arange(count * beam).view(count, beam)
    ]


def _ranked(
    vocabulary: Sequence[str], tokens: Tensor, chances: Tensor, totals: Tensor
) -> tuple[Title, ...]:
    titles = []
    for row, chance, total in zip(tokens.tolist(), chances.tolist(), totals.tolist(), strict=True):
        words = tuple(
            (vocabulary[token], round(share, 4))
            for token, share in zip(row, chance, strict=True)
            if token not in (BEGIN, END)
        )
        titles.append(Title(words, round(total / max(len(words), 1) ** _SHORT_PENALTY, 4)))
    return tuple(sorted(titles, key=lambda title: -title.score))
