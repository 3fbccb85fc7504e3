"""Chooses the weight of the second network for each head, and calibrates the blended answers.

Uses held-out studio photos; each archive counts the same, whatever its size. Temperatures: Guo et
al., "On Calibration of Modern Neural Networks", ICML 2017. Writes the second network's weights
again, with the chosen blend in the metadata.

Examples:
    python -m training.calibration.blend --data photos --net net.safetensors \\
        --second begun.safetensors --out second.safetensors
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from agents.vision.networks.blend import Blend
from agents.vision.networks.garment_net import HEADS
from training.photos.data import CATALOGUES, Photos, data_folder, describe, load_photos
from training.scoring.score import calibration_error
from training.trainers.checkpoint import Checkpoint, second_opinion
from training.trainers.command import parsed, training_parser
from training.trainers.objective import partial_loss, top1
from training.trainers.train import logits_of, targets_of

SHARES = tuple(step / 20 for step in range(15))
TEMPERATURES = tuple(step / 50 for step in range(20, 101))


@dataclass(frozen=True)
class Answers:
    """Both networks' logits for an archive's held-out photos, and the photos' labels."""

    first: Mapping[str, Tensor]
    second: Mapping[str, Tensor]
    truth: Mapping[str, Tensor]

    def loss(self, head: str, share: float, temperature: float) -> float:
        both = self.first[head].lerp(self.second[head], share)
        return partial_loss(both / temperature, self.truth[head]).item()

    def calibration_error(self, head: str, share: float, temperature: float) -> float:
        known = self.truth[head].any(dim=1)
        both = self.first[head].lerp(self.second[head], share)[known] / temperature
        sure, best = both.softmax(1).max(dim=1)
        hits = self.truth[head][known].gather(1, best[:, None])[:, 0]
        return calibration_error(list(zip(sure.tolist(), hits.tolist(), strict=True)))

    def right(self, head: str, share: float) -> float:
        return top1(self.first[head].lerp(self.second[head], share), self.truth[head])


def asked(net: Checkpoint, second: torch.nn.Module, photos: Photos, archive: str) -> Answers:
    """Return both networks' answers for the archive's held-out photos."""
    places = [i for i, e in enumerate(photos.examples) if e.held_out and e.archive == archive]
    truth = targets_of(photos, net.words).rows(np.array(places))
    first, other = (logits_of(each, photos, places, net.size) for each in (net.net, second))
    return Answers(first, other, truth)


def fitted(told: list[Answers], shares: tuple[float, ...] = SHARES) -> Blend:
    """Return the blend: shares with the least mean loss over the archives, then temperatures.

    A temperature minimises the largest calibration error of an archive.
    """
    found: dict[str, float] = {}
    temperatures: dict[str, float] = {}
    for head in HEADS:
        pairs = product(shares, TEMPERATURES)
        share, _ = min(pairs, key=lambda pair: sum(one.loss(head, *pair) for one in told))
        found[head] = share
        temperatures[head] = min(
            TEMPERATURES, key=lambda t: max(one.calibration_error(head, share, t) for one in told)
        )
        if share == shares[-1] != shares[0]:
            print(f"{head}: the best share is the largest of the tried shares")
    return Blend(found, temperatures)


def run(data: Path, cache: Path, net: Path, second: Path, out: Path) -> None:
    """Fit the blend of two networks; write the second network with the blend to ``out``."""
    loaded, photos = Checkpoint.load(net), load_photos(data, cache, CATALOGUES)
    told = [asked(loaded, second_opinion(second), photos, archive) for archive in CATALOGUES]
    blend = fitted(told)
    save_file(load_file(second), out, {**describe(loaded.words), "blend": blend.to_json()})
    for archive, one in zip(CATALOGUES, told, strict=True):
        scores = {head: [round(one.right(head, share), 4) for share in (0.0, blend.shares[head])]
                  for head in HEADS}  # fmt: skip
        print(json.dumps({"archive": archive, "alone_and_together": scores}))
    print(blend.to_json())


def main() -> None:
    parser = training_parser(__doc__)
    parser.add_argument(
        "--second", type=Path, required=True, help="weights of trainers.train --recipe second"
    )
    given = parsed(parser)
    run(data_folder(given.data), given.cache, given.net, given.second, given.out)


if __name__ == "__main__":
    main()
