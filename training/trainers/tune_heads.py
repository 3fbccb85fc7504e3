"""Tunes the heads for colour and wearer on the trained encoder's features, mostly of plain views.

Changed light and backgrounds make the encoder robust but make colours ambiguous. So these heads are
tuned on all plain studio photos and on a smaller number of composed views.

Examples:
    python -m training.trainers.tune_heads --net net.safetensors --out tuned.safetensors
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from agents.vision.networks.garment_net import HEADS, GarmentNet
from agents.vision.networks.residual import ResidualNet
from agents.vision.networks.weights import places
from training.photos.augment import random_views
from training.photos.data import (
    CATALOGUES,
    TRAIN_PHOTOS,
    Photos,
    data_folder,
    load_photos,
)
from training.trainers.checkpoint import Checkpoint
from training.trainers.command import parsed, training_parser
from training.trainers.objective import partial_loss, top1
from training.trainers.train import targets_of
from training.trainers.trainer import RECIPES

TUNED = ("colour", "gender")
COMPOSED, BATCH, RATE, SMOOTHING, SHRUNK = 18_000, 256, 1e-3, 0.05, 4


@dataclass(frozen=True)
class Features:
    """The inputs of the heads and of the title network for each photo, in half precision.

    ``second`` has the second network's logits of all heads, or width 0 without a second network.
    """

    fine: Tensor
    coarse: Tensor
    top: Tensor
    small: Tensor
    places: Tensor
    second: Tensor

    def logits(self, net: GarmentNet, rows: Tensor) -> dict[str, Tensor]:
        """Return the heads' logits of the photos in ``rows``."""
        levels = {8: self.fine[rows].float(), 16: self.coarse[rows].float()}
        photos = F.interpolate(self.small[rows].float(), scale_factor=float(SHRUNK))
        return net.logits(levels, self.top[rows].float(), photos)


@torch.inference_mode()
def features_of(
    net: GarmentNet, photos: Photos, chosen: NDArray[np.intp], size: int,
    scenes: NDArray[np.intp] | None = None, second: ResidualNet | None = None,
) -> Features:  # fmt: skip
    """Return features of plain views, or of views composed onto corners of ``scenes``."""
    found: list[tuple[Tensor, ...]] = []
    for start in range(0, len(chosen), 128):
        studio = torch.from_numpy(photos.pixels[chosen[start : start + 128]])
        if scenes is None:
            planes = studio[..., :3].permute(0, 3, 1, 2).float() / 255
            views = F.interpolate(planes, size=(size, size), mode="bilinear", antialias=True)
        else:
            lent = np.random.default_rng(start).choice(scenes, 16)
            views = random_views(studio, torch.from_numpy(photos.pixels[lent]), size)[: len(studio)]
        levels, top = net.encoder(views.contiguous(memory_format=torch.channels_last))
        small = F.avg_pool2d(views, SHRUNK)
        told = torch.cat(list(second(views).values()), dim=1) if second else top[:, :0]
        parts = (levels[8], levels[16], top, small, places(levels), told)
        found.append(tuple(part.half().contiguous() for part in parts))
    return Features(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def joined(one: Features, other: Features) -> Features:
    """Return both, one after the other."""
    return Features(
        *(torch.cat(pair) for pair in zip(vars(one).values(), vars(other).values(), strict=True))
    )


def tune(net: GarmentNet, seen: Features, truth: dict[str, Tensor], epochs: int) -> None:
    """Train the tuned heads for ``epochs`` passes over the features."""
    heads = [net.heads[f"{name}_head"] for name in TUNED]
    learnt = [p for head in heads for p in head.requires_grad_(True).train().parameters()]
    optimiser = torch.optim.AdamW(learnt, lr=RATE, weight_decay=0.05)
    steps = epochs * len(seen.top) // BATCH
    for step in range(steps):
        rows = torch.randint(len(seen.top), (BATCH,))
        logits = seen.logits(net, rows)
        losses = [
            RECIPES["encoder"].weights[h] * partial_loss(logits[h], truth[h][rows], SMOOTHING)
            for h in TUNED
        ]
        loss = torch.stack(losses).sum()
        for group in optimiser.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learnt, 5.0)
        optimiser.step()
        if step % 100 == 0:
            print(f"{step}/{steps} {loss.item():.3f}", flush=True)
    net.eval().requires_grad_(False)


@torch.inference_mode()
def all_logits(net: GarmentNet, seen: Features) -> dict[str, Tensor]:
    """Return the heads' logits of all photos."""
    parts = [seen.logits(net, torch.arange(len(seen.top))[start : start + 256])
             for start in range(0, len(seen.top), 256)]  # fmt: skip
    return {head: torch.cat([part[head] for part in parts]) for head in HEADS}


def save(
    net: GarmentNet, source: Path, unseen: Features, truth: dict[str, Tensor], out: Path
) -> None:
    """Write the weights of ``source`` with the tuned heads to ``out``."""
    with safe_open(source, framework="pt") as file:
        metadata = file.metadata()
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for name in TUNED:
        for key, tensor in net.heads[f"{name}_head"].state_dict().items():
            state[f"heads.{name}_head.{key}"] = tensor.half().contiguous()
    logits = all_logits(net, unseen)
    save_file(state, out, metadata)
    print(json.dumps({h: round(top1(logits[h], truth[h]), 4) for h in HEADS}), flush=True)


def run(data: Path, cache: Path, net: Path, out: Path, epochs: int) -> None:
    """Tune the heads of ``net`` and write the whole network to ``out``."""
    torch.manual_seed(1)
    photos = load_photos(data, cache, [*CATALOGUES, TRAIN_PHOTOS])
    loaded = Checkpoint.load(net)
    targets = targets_of(photos, loaded.words)
    trained, held, scenes = kept_apart(photos)
    composed = np.random.default_rng(2).permutation(trained)[:COMPOSED]
    seen = joined(
        features_of(loaded.net, photos, trained, loaded.size),
        features_of(loaded.net, photos, composed, loaded.size, scenes),
    )
    tune(loaded.net, seen, targets.rows(np.concatenate([trained, composed])), epochs)
    unseen = features_of(loaded.net, photos, held, loaded.size)
    save(loaded.net, net, unseen, targets.rows(held), out)


def kept_apart(photos: Photos) -> tuple[NDArray[np.intp], ...]:
    """Return the indices of studio photos for training, held-out ones, and people's photos."""
    listed = list(enumerate(photos.examples))
    return (
        np.array([i for i, e in listed if e.is_catalogue and not e.held_out]),
        np.array([i for i, e in listed if e.is_catalogue and e.held_out]),
        np.array([i for i, e in listed if not e.is_catalogue]),
    )


def main() -> None:
    parser = training_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    given = parsed(parser)
    run(data_folder(given.data), given.cache, given.net, given.out, given.epochs)


if __name__ == "__main__":
    main()
