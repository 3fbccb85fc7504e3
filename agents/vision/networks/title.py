"""The title network: a recurrent decoder with attention over the photo's features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

BEGIN, END = 0, 1
WIDTH, EMBEDDED = 256, 96


@dataclass(frozen=True)
class Seen:
    """The inputs of a title: places (n, p, f) of the photo, facts (n, a) of the heads."""

    places: Tensor
    facts: Tensor


class TitleDecoder(nn.Module):
    """Maps the words so far to the logits of the next word (Xu et al., "Show, Attend and Tell",
    ICML 2015).

    ``words`` is the size of the vocabulary with `BEGIN` and `END`, ``features`` the size of a
    place, ``facts`` the number of the heads' probabilities. The attention is additive (Bahdanau et
    al. 2015), the recurrence a GRU.
    """

    def __init__(self, words: int, features: int, facts: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, EMBEDDED)
        self.begin = nn.Linear(features + facts, WIDTH)
        self.place = nn.Linear(features, 128, bias=False)
        self.query = nn.Linear(WIDTH, 128)
        self.score = nn.Linear(128, 1, bias=False)
        self.cell = nn.GRUCell(EMBEDDED + features + facts, WIDTH)
        self.dropout = nn.Dropout(0.3)
        self.words = nn.Linear(WIDTH + features + facts, words)

    def start(self, seen: Seen) -> Tensor:
        """Return the state before the first word, (n, WIDTH)."""
        return torch.tanh(self.begin(torch.cat([seen.places.mean(dim=1), seen.facts], dim=1)))

    def step(self, words: Tensor, state: Tensor, seen: Seen) -> tuple[Tensor, Tensor]:
        """Return the next words' logits (n, words) and state from the last words (n,) and the
        state."""
        looked = self.place(seen.places) + self.query(state)[:, None]
        weights = self.score(torch.tanh(looked)).softmax(dim=1)
        context = torch.cat([(seen.places * weights).sum(dim=1), seen.facts], dim=1)
        state = self.cell(torch.cat([self.embed(words), context], dim=1), state)
        return self.words(self.dropout(torch.cat([state, context], dim=1))), state

    def forward(self, titles: Tensor, seen: Seen) -> Tensor:
        """Return the logits (n, t, words) of each next word for titles (n, t) that begin with
        `BEGIN`."""
        state, found = self.start(seen), []
        for place in range(titles.shape[1]):
            logits, state = self.step(titles[:, place], state, seen)
            found.append(logits)
        return torch.stack(found, dim=1)
