"""Trains the garment network or the second network; writes the weights and their scores.

Examples:
    python -m training.trainers.train --data photos --out garment-net-2.safetensors
    python -m training.trainers.train --recipe second --data photos --out second-net-1.safetensors
    LOOKSTREAM_DATA=photos python -m training.trainers.train --minutes 5 --out quick.safetensors
"""

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from agents.vision.networks.garment_net import HEADS
from training.photos.augment import random_views
from training.photos.data import (
    CATALOGUES,
    TRAIN_PHOTOS,
    Photos,
    Words,
    data_folder,
    default_cache,
    describe,
    load_photos,
    words_of,
)
from training.trainers.curves import History
from training.trainers.objective import top1
from training.trainers.trainer import RECIPES, Recipe, Trainer

STEPS = 240


@dataclass(frozen=True)
class Targets:
    """The labels of photos.

    For each head a bool table (n, words), all False if there is no label.
    """

    truth: dict[str, Tensor]

    def rows(self, places: NDArray[np.intp]) -> dict[str, Tensor]:
        chosen = torch.from_numpy(places)
        return {head: table[chosen] for head, table in self.truth.items()}


def targets_of(photos: Photos, words: Words) -> Targets:
    """Return the labels as tables. Words outside the vocabularies are left out."""
    truth = {h: torch.zeros(len(photos.examples), len(getattr(words, h)), dtype=torch.bool)
             for h in HEADS}  # fmt: skip
    for place, example in enumerate(photos.examples):
        for head in HEADS:
            listed = getattr(words, head)
            for word in example.types if head == "type" else (getattr(example, head),):
                if word in listed:
                    truth[head][place, listed.index(word)] = True
    return Targets(truth)


def draws(photos: Photos, recipe: Recipe, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield endless batches: studio photos, with rare types oversampled, then people's photos."""
    listed = enumerate(photos.examples)
    kept = np.array([i for i, e in listed if e.is_catalogue and not e.held_out])
    people = np.array([i for i, e in enumerate(photos.examples) if not e.is_catalogue])
    counts = Counter(photos.examples[i].types for i in kept)
    weights = np.array([counts[photos.examples[i].types] ** -0.35 for i in kept])
    weights /= weights.sum()
    while True:
        studio = rng.choice(len(kept), recipe.studio, replace=False, p=weights)
        yield np.concatenate([kept[studio], rng.choice(people, recipe.people, False)])


@torch.inference_mode()
def logits_of(
    network: nn.Module, photos: Photos, places: list[int], size: int
) -> dict[str, Tensor]:
    """Return the heads' logits for the unaugmented photos at these indices, `size` pixels wide."""
    parts: list[dict[str, Tensor]] = []
    for start in range(0, len(places), 128):
        pixels = torch.from_numpy(photos.pixels[places[start : start + 128]])
        planes = pixels[..., :3].permute(0, 3, 1, 2).float() / 255
        planes = F.interpolate(planes, size=(size, size), mode="bilinear", antialias=True)
        parts.append(network(planes.contiguous(memory_format=torch.channels_last)))
    return {head: torch.cat([part[head] for part in parts]) for head in HEADS}


def save(
    trainer: Trainer, photos: Photos, targets: Targets, words: Words, size: int, out: Path
) -> dict[str, float]:
    """Write the averaged weights in half precision and, beside them, the held-out scores.

    `size` is the last input size of training. The network scores much worse at other sizes.
    """
    places = [i for i, e in enumerate(photos.examples) if e.held_out]
    logits, truth = logits_of(trainer.average, photos, places, size), targets.rows(np.array(places))
    metadata = {"name": trainer.recipe.name, "input": str(size), **describe(words)}
    state = {k: v.half().contiguous() if v.is_floating_point() else v
             for k, v in trainer.average.state_dict().items()}  # fmt: skip
    save_file(state, out, metadata)
    scores = {head: round(top1(logits[head], truth[head]), 4) for head in HEADS}
    metrics = {"steps": trainer.step_count, "held_out": len(places), "input": size,
               "top1": scores}  # fmt: skip
    out.with_suffix(".json").write_text(json.dumps(metrics, indent=2))
    print(json.dumps(metrics), flush=True)
    return scores


@dataclass(frozen=True)
class Plan:
    """How long to train: `epochs` of STEPS batches, or fewer if `minutes` pass first.

    `begun` is the share of the whole training that the weights in `resume` have completed.
    """

    recipe: Recipe
    epochs: int
    minutes: float = math.inf
    seed: int = 1
    resume: Path | None = None
    begun: float = 0.0

    def progress(self, steps: int, minutes: float) -> float:
        passed = max(steps / (self.epochs * STEPS), minutes / self.minutes)
        return self.begun + (1 - self.begun) * passed


def train(data: Path, cache: Path, out: Path, plan: Plan) -> None:
    """Train by the plan; write the weights to `out` after each epoch and at the end."""
    torch.manual_seed(plan.seed)
    photos = load_photos(data, cache, [*CATALOGUES, TRAIN_PHOTOS])
    words = words_of(photos.examples)
    recipe, targets = plan.recipe, targets_of(photos, words)
    trainer = Trainer(recipe, {head: len(getattr(words, head)) for head in HEADS})
    batches = draws(photos, recipe, np.random.default_rng(plan.seed))
    if plan.resume:
        trainer.resume(plan.resume)
    began, progress, history = time.monotonic(), plan.begun, History()
    while progress < 1:
        places = next(batches)
        pixels = torch.from_numpy(photos.pixels[places])
        size = recipe.large if progress >= recipe.large_from else recipe.small
        views = random_views(
            pixels[: recipe.studio], pixels[recipe.studio :], size, recipe.keep, recipe.lamps
        )
        loss = trainer.step(views, targets.rows(places), progress)
        spent = (time.monotonic() - began) / 60
        progress = plan.progress(trainer.step_count, spent)
        if trainer.step_count % 60 == 0:
            print(f"{trainer.step_count} {progress:.3f} {spent:.1f}min {loss:.3f}", flush=True)
            history.losses.append((trainer.step_count, loss))
        if trainer.step_count % STEPS == 0:
            scores = save(trainer, photos, targets, words, size, out)
            history.scores.append((trainer.step_count, scores))
    save(trainer, photos, targets, words, size, out)
    history.draw(out.with_suffix(".png"), recipe.name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--recipe", choices=sorted(RECIPES), default="encoder", help="what to train"
    )
    parser.add_argument(
        "--data", type=Path, help="folder of the photo archives; default LOOKSTREAM_DATA"
    )
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="folder for decoded photos"
    )
    parser.add_argument("--out", type=Path, required=True, help="the weights file to write")
    parser.add_argument("--epochs", type=int, help=f"number of epochs of {STEPS} batches")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="limit of the training time in minutes"
    )
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", type=Path, help="weights to resume from")
    parser.add_argument(
        "--begun",
        type=float,
        default=0.0,
        help="share of the training that the resumed weights have completed, 0-1",
    )
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    recipe = RECIPES[given.recipe]
    epochs = given.epochs or recipe.epochs
    plan = Plan(recipe, epochs, given.minutes, given.seed, given.resume, given.begun)
    train(data_folder(given.data), given.cache, given.out, plan)


if __name__ == "__main__":
    main()
