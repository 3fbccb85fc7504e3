"""Trains the title network on brand-free captions, on the trained encoder's features.

Examples:
    python -m training.train_titles --data photos --net net.safetensors --out title.safetensors
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from agents.vision.network import GarmentNet
from agents.vision.title_network import BEGIN, END, Seen, TitleDecoder
from agents.vision.weights import PLACE_FEATURES, TOLD, facts, places
from training.augment import random_views
from training.checkpoint import Checkpoint
from training.curves import History
from training.data import CATALOGUES, TRAIN_PHOTOS, Photos, data_folder, default_cache, load_photos
from training.titles import caption_of, vocabulary_of

VIEWS, BATCH, RATE, SMOOTHING, LEAST = 2, 256, 2e-3, 0.05, 20


def captions_of(photos: Photos) -> list[tuple[str, ...]]:
    """The caption of each studio photo; empty where it has none to learn from."""
    return [
        caption_of(e.title, e.types[0] if e.types else None, e.colour, e.gender, e.pattern)
        if e.is_catalogue else ()
        for e in photos.examples
    ]  # fmt: skip


def words_of(captions: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The title network's vocabulary: begin, end, and the words that come often enough."""
    every = [word for caption in captions for word in caption]
    often = [w for w in vocabulary_of(captions) if every.count(w) >= LEAST] if every else []
    return ("<begin>", "<end>", *often)


def tokens_of(captions: list[tuple[str, ...]], words: tuple[str, ...]) -> NDArray[np.int64]:
    """Captions as rows of tokens, `BEGIN` first, `END` after and as filling."""
    index = {word: place for place, word in enumerate(words)}
    known = [[index[w] for w in caption if w in index] for caption in captions]
    rows = np.full((len(captions), max(map(len, known)) + 2), END, np.int64)
    rows[:, 0] = BEGIN
    for row, tokens in zip(rows, known, strict=True):
        row[1 : len(tokens) + 1] = tokens
    return rows


@torch.inference_mode()
def features_of(
    net: GarmentNet, temperatures: dict[str, float], photos: Photos, chosen: NDArray[np.intp],
    scenes: NDArray[np.intp], size: int, plain: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """What the title network sees of the photos, once: places in half precision, facts."""
    found: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(chosen), 128):
        studio = torch.from_numpy(photos.pixels[chosen[start : start + 128]])
        if plain:
            planes = studio[..., :3].permute(0, 3, 1, 2).float() / 255
            views = F.interpolate(planes, size=(size, size), mode="bilinear", antialias=True)
        else:
            scene = torch.from_numpy(photos.pixels[np.random.default_rng(start).choice(scenes, 16)])
            views = random_views(studio, scene, size)[: len(studio)]
        levels, top = net.encoder(views.contiguous(memory_format=torch.channels_last))
        logits = net.logits(levels, top)
        shares = {head: (logits[head] / temperatures[head]).softmax(1) for head in TOLD}
        found.append((places(levels).half(), facts(shares).half()))
    return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])


def loss_of(decoder: TitleDecoder, tokens: Tensor, seen: Seen) -> Tensor:
    """Cross-entropy of each next word up to the end."""
    logits = decoder(tokens[:, :-1], seen)
    truth = tokens[:, 1:]
    counted = torch.cat([torch.ones_like(truth[:, :1]), (truth != END)[:, :-1].long()], 1).bool()
    return F.cross_entropy(logits[counted], truth[counted], label_smoothing=SMOOTHING)


def train(data: Path, cache: Path, net: Path, out: Path, epochs: int) -> None:
    """Train for some passes and write the network's weights and words to ``out``."""
    torch.manual_seed(1)
    photos = load_photos(data, cache, [*CATALOGUES, TRAIN_PHOTOS])
    captions = captions_of(photos)
    trained = [i for i, e in enumerate(photos.examples) if captions[i] and not e.held_out]
    words = words_of([captions[i] for i in trained])
    tokens = torch.from_numpy(tokens_of(captions, words))
    scenes = np.array([i for i, e in enumerate(photos.examples) if not e.is_catalogue])
    loaded = Checkpoint.load(net)
    chosen = np.array(trained * VIEWS)
    seen = features_of(loaded.net, loaded.temperatures, photos, chosen, scenes, loaded.size, False)
    held = np.array([i for i, e in enumerate(photos.examples) if captions[i] and e.held_out])
    unseen = features_of(loaded.net, loaded.temperatures, photos, held, scenes, loaded.size, True)
    decoder = TitleDecoder(len(words), PLACE_FEATURES, seen[1].shape[1])
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=RATE, weight_decay=0.01)
    steps, history = epochs * len(chosen) // BATCH, History()
    for step in range(steps):
        rows = torch.randint(len(chosen), (BATCH,))
        batch = Seen(seen[0][rows].float(), seen[1][rows].float())
        loss = loss_of(decoder.train(), tokens[chosen[rows]], batch)
        for group in optimiser.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
        optimiser.step()
        if step % 100 == 0 or step == steps - 1:
            with torch.inference_mode():
                whole = Seen(unseen[0].float(), unseen[1].float())
                held_loss = loss_of(decoder.eval(), tokens[held], whole).item()
            print(f"{step}/{steps} {loss.item():.3f} held out {held_loss:.3f}", flush=True)
            history.losses.append((step, held_loss))
    save_file(decoder.state_dict(), out, {"title": json.dumps(words)})
    history.draw(out.with_suffix(".png"), "titles: loss on the held-out")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="archives' folder; else LOOKSTREAM_DATA")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="decoded photos' place")
    parser.add_argument("--net", type=Path, required=True, help="trained by training.train")
    parser.add_argument("--out", type=Path, required=True, help="the weights file to write")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train(data_folder(given.data), given.cache, given.net, given.out, given.epochs)


if __name__ == "__main__":
    main()
