"""Train the landmark network on drawn garments only, without photos or marks.

Examples:
    python -m training.landmarks.train_landmarks \\
        --out agents/vision/weights/landmark-net-1.safetensors
    python -m training.landmarks.train_landmarks --out quick.safetensors --garments 5000 --epochs 3
"""

import argparse
import math
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from agents.vision.geometry.crops import SIDE, Frame
from agents.vision.networks.landmark import POINTS, TWINS, LandmarkNet
from agents.vision.text.kinds import KINDS
from training.landmarks.patterns import draw
from training.landmarks.spoiling import spoil

NAME = "landmark-net-1"
SHARES = (0.5, 0.18, 0.16, 0.1, 0.06)
BATCH = 128


@dataclass(frozen=True)
class Garments:
    """Framed masks (n, SIDE, SIDE), points (n, len(POINTS), 2), and kinds (n,).

    Points are x and y in 0-1 of the frame; missing points are NaN. Kinds are indices of `KINDS`.
    Masks are bytes, except that `batches` yields masks (n, 1, SIDE, SIDE) in 0-1.
    """

    masks: Tensor
    points: Tensor
    kinds: Tensor


Arrays = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]


def drawn(seed: int, count: int) -> Arrays:
    """Return `count` random garments; `SHARES` has the probability of each kind."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    points = np.full((count, len(POINTS), 2), np.nan, np.float32)
    kinds = rng.choice(len(KINDS), count, p=SHARES)
    for place, kind in enumerate(kinds):
        seen = None
        while seen is None:
            seen = spoil(rng, draw(rng, KINDS[kind]))
        frame = Frame.around(seen.mask)
        masks[place] = (frame.cut(seen.mask) * 255).byte().numpy()
        for name, (x, y) in seen.points.items():
            points[place, POINTS.index(name)] = frame.within(x, y)
    return masks, points, kinds.astype(np.int64)


def draw_many(count: int, seed: int, workers: int) -> Garments:
    """Return random garments: ``count``, rounded up to whole chunks.

    Each chunk has a seed, so the number of workers does not change the result.
    """
    chunk = 1000
    seeds = range(seed * 100_000, seed * 100_000 + math.ceil(count / chunk))
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        parts = list(pool.map(drawn, seeds, [chunk] * len(seeds)))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Garments(*(torch.from_numpy(column) for column in columns))


def batches(garments: Garments, generator: torch.Generator) -> Iterator[Garments]:
    """Yield one epoch in random order, mirrored and shifted at random."""
    order = torch.randperm(len(garments.masks), generator=generator)
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        masks = garments.masks[places].float()[:, None] / 255
        points, kinds = garments.points[places].clone(), garments.kinds[places]
        flip = torch.rand(len(places), generator=generator) < 0.5
        masks = torch.where(flip[:, None, None, None], masks.flip(3), masks)
        turned = points[:, TWINS].clone()
        turned[..., 0] = 1 - turned[..., 0]
        points = torch.where(flip[:, None, None], turned, points)
        down, across = torch.randint(-1, 2, (2,), generator=generator).tolist()
        masks = torch.roll(masks, (down, across), (2, 3))
        yield Garments(masks, points + torch.tensor([across, down]) / SIDE, kinds)


def told(kinds: Tensor, generator: torch.Generator) -> Tensor:
    """Return the kinds passed to the network (n, kinds), one-hot.

    A row is the true kind in 51 % of cases, zeros in 45 %, and a random kind in 4 %.
    """
    draw_ = torch.rand(len(kinds), generator=generator)
    wrong = torch.randint(0, len(KINDS), (len(kinds),), generator=generator)
    said = F.one_hot(torch.where(draw_ < 0.04, wrong, kinds), len(KINDS)).float()
    return said * (draw_ < 0.55)[:, None]


def loss_of(found: Tensor, guessed: Tensor, truth: Garments) -> Tensor:
    """Return the Laplace negative log-likelihood of the points plus two cross-entropies.

    The cross-entropies are of presence (weight 2) and of kind (weight 0.3).
    """
    there = ~truth.points[..., 0].isnan()
    off = (found[..., :2] - truth.points.nan_to_num()).abs().sum(dim=2)
    spread = found[..., 2].clamp(-6, 1)
    places = (off * torch.exp(-spread) + 2 * spread)[there].mean()
    presence = F.binary_cross_entropy_with_logits(found[..., 3], there.float())
    return places + 2 * presence + 0.3 * F.cross_entropy(guessed, truth.kinds)


def train(network: nn.Module, garments: Garments, epochs: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.02)
    steps = epochs * math.ceil(len(garments.masks) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps, pct_start=0.1)
    began = time.monotonic()
    for epoch in range(epochs):
        total, count = 0.0, 0
        for batch in batches(garments, generator):
            found, guessed = network(batch.masks, told(batch.kinds, generator))
            loss = loss_of(found, guessed, batch)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total, count = total + loss.item(), count + 1
        spent = (time.monotonic() - began) / 60
        print(f"{epoch + 1} {total / count:.3f} {spent:.1f}min", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="weights file to write")
    parser.add_argument(
        "--garments", type=int, default=40_000, help="number of garments; rounded up to thousands"
    )
    parser.add_argument("--epochs", type=int, default=12, help="number of epochs")
    parser.add_argument("--workers", type=int, default=2, help="number of drawing processes")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    garments = draw_many(given.garments, given.seed, given.workers)
    network = LandmarkNet().to(memory_format=torch.channels_last)
    train(network, garments, given.epochs, given.seed)
    state = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    save_file(state, given.out, {"name": NAME})


if __name__ == "__main__":
    main()
