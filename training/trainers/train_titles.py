"""Trains the title network on captions without brands, with the trained encoder's features.

Examples:
    python -m training.trainers.train_titles --data photos --net net.safetensors \\
        --second second.safetensors --out title.safetensors
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from agents.vision.networks.title import BEGIN, END, Seen, TitleDecoder
from agents.vision.networks.weights import PLACE_FEATURES, facts
from training.photos.data import CATALOGUES, TRAIN_PHOTOS, Photos, data_folder, load_photos
from training.photos.titles import caption_of, vocabulary_of
from training.trainers.checkpoint import Opinions, sizes_of
from training.trainers.command import parsed, training_parser
from training.trainers.curves import History
from training.trainers.tune_heads import Features, all_logits, features_of, kept_apart

VIEWS, BATCH, RATE, SMOOTHING, LEAST = 24_000, 256, 2e-3, 0.05, 20


def captions_of(photos: Photos) -> list[tuple[str, ...]]:
    """Return the caption of each studio photo; empty if there is none."""
    return [
        caption_of(e.title, e.types[0] if e.types else None, e.colour, e.gender, e.pattern)
        if e.is_catalogue else ()
        for e in photos.examples
    ]  # fmt: skip


def words_of(captions: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the title network's vocabulary: begin, end, and words that occur `LEAST` times."""
    every = [word for caption in captions for word in caption]
    often = [w for w in vocabulary_of(captions) if every.count(w) >= LEAST] if every else []
    return ("<begin>", "<end>", *often)


def tokens_of(captions: list[tuple[str, ...]], words: tuple[str, ...]) -> NDArray[np.int64]:
    """Return captions as rows of tokens: `BEGIN`, the words, then `END` to fill the row."""
    index = {word: place for place, word in enumerate(words)}
    known = [[index[w] for w in caption if w in index] for caption in captions]
    rows = np.full((len(captions), max(map(len, known)) + 2), END, np.int64)
    rows[:, 0] = BEGIN
    for row, tokens in zip(rows, known, strict=True):
        row[1 : len(tokens) + 1] = tokens
    return rows


def loss_of(decoder: TitleDecoder, tokens: Tensor, seen: Seen) -> Tensor:
    """Return the cross-entropy of each next word up to the first `END`."""
    logits = decoder(tokens[:, :-1], seen)
    truth = tokens[:, 1:]
    counted = torch.cat([torch.ones_like(truth[:, :1]), (truth != END)[:, :-1].long()], 1).bool()
    return F.cross_entropy(logits[counted], truth[counted], label_smoothing=SMOOTHING)


@dataclass(frozen=True)
class Lesson:
    """Captions as tokens (n, t), and the title network's inputs for their photos."""

    tokens: Tensor
    seen: Seen

    def rows(self, chosen: Tensor) -> tuple[Tensor, Seen]:
        seen = Seen(self.seen.places[chosen].float(), self.seen.facts[chosen].float())
        return self.tokens[chosen], seen


@torch.inference_mode()
def told(opinions: Opinions, features: Features) -> Seen:
    """Return the title network's inputs: place features and the heads' probabilities."""
    first = all_logits(opinions.first.net, features)
    sizes = sizes_of(opinions.first.words)
    parts = torch.split(features.second.float(), list(sizes.values()), dim=1)
    shares = opinions.blend.probabilities(first, dict(zip(sizes, parts, strict=True)))
    return Seen(features.places, facts(shares).half())


def fit(lesson: Lesson, held: Lesson, words: int, epochs: int) -> tuple[TitleDecoder, History]:
    """Return a network trained for ``epochs``, and its loss on held-out photos."""
    decoder = TitleDecoder(words, PLACE_FEATURES, lesson.seen.facts.shape[1])
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=RATE, weight_decay=0.01)
    steps, history = epochs * len(lesson.tokens) // BATCH, History()
    for step in range(steps):
        loss = loss_of(decoder.train(), *lesson.rows(torch.randint(len(lesson.tokens), (BATCH,))))
        for group in optimiser.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
        optimiser.step()
        if step % 100 == 0 or step == steps - 1:
            with torch.inference_mode():
                whole = held.rows(torch.arange(len(held.tokens)))
                held_loss = loss_of(decoder.eval(), *whole).item()
            print(f"{step}/{steps} {loss.item():.3f} held out {held_loss:.3f}", flush=True)
            history.losses.append((step, held_loss))
    return decoder, history


def train(data: Path, cache: Path, opinions: Opinions, out: Path, epochs: int) -> None:
    """Train for ``epochs``; write the network's weights and words to ``out``."""
    torch.manual_seed(1)
    photos = load_photos(data, cache, [*CATALOGUES, TRAIN_PHOTOS])
    captions = captions_of(photos)
    trained, held, scenes = (
        np.array([i for i in part if captions[i] or not photos.examples[i].is_catalogue])
        for part in kept_apart(photos)
    )
    words = words_of([captions[i] for i in trained])
    tokens = torch.from_numpy(tokens_of(captions, words))
    net, size, second = opinions.first.net, opinions.first.size, opinions.second
    chosen = np.random.default_rng(1).permutation(trained)[:VIEWS]
    seen = features_of(net, photos, chosen, size, scenes, second)
    unseen = features_of(net, photos, held, size, None, second)
    decoder, history = fit(
        Lesson(tokens[chosen], told(opinions, seen)),
        Lesson(tokens[held], told(opinions, unseen)),
        len(words), epochs,
    )  # fmt: skip
    write(decoder, words, out)
    history.draw(out.with_suffix(".png"), "titles: loss on held-out photos")


def write(decoder: TitleDecoder, words: Sequence[str], out: Path) -> None:
    """Write the network's weights and words to ``out``."""
    save_file(decoder.state_dict(), out, {"title": json.dumps(words)})


def main() -> None:
    parser = training_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--second", type=Path, required=True, help="weights of calibration.blend")
    given = parsed(parser)
    opinions = Opinions.load(given.net, given.second)
    train(data_folder(given.data), given.cache, opinions, given.out, given.epochs)


if __name__ == "__main__":
    main()
