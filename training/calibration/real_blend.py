"""Gives the shipped second network the new vocabulary, and weighs both networks again.

A word that the second network never learnt gets the weights of its `RELATIVES` word. For each head,
the second network's share of the logits is the one with the least loss on held-out studio photos
and people's validation photos together, among the shares that lose no right answers in either
group. The temperature minimises the larger calibration error of the two groups.

Examples:
    python -m training.calibration.real_blend --net net.safetensors --out second.safetensors
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from agents.vision.networks.blend import Blend
from agents.vision.networks.garment_net import HEADS
from agents.vision.networks.weights import SHIPPED
from training.photos.data import Words, data_folder, describe
from training.photos.real_data import RealPhotos, load_real
from training.photos.real_labels import RELATIVES
from training.scoring.score import calibration_error
from training.trainers.checkpoint import Checkpoint, second_opinion
from training.trainers.command import parsed, training_parser
from training.trainers.objective import partial_loss, top1
from training.trainers.real_scores import logits_at, people_group
from training.trainers.real_train import truth_of

SHARES = tuple(step / 20 for step in range(15))
TEMPERATURES = tuple(step / 25 for step in range(12, 51))


def widened(words: Words) -> dict[str, Tensor]:
    """Return the shipped second network's tensors, with a row for each word of the vocabulary."""
    with safe_open(SHIPPED, framework="pt") as file:
        metadata = file.metadata()
        state = {k.removeprefix("second."): file.get_tensor(k).float()
                 for k in file.keys() if k.startswith("second.")}  # noqa: SIM118  # fmt: skip
    for head in HEADS:
        places = {word: place for place, word in enumerate(json.loads(metadata[head]))}
        wanted = getattr(words, head)
        for key in (f"words.{head}_head.weight", f"words.{head}_head.bias"):
            old = state[key]
            rows = []
            for word in wanted:
                known = word if word in places else RELATIVES.get(word, "")
                rows.append(old[places[known]] if known in places else old.mean(dim=0))
            state[key] = torch.stack(rows)
    return state


@dataclass(frozen=True)
class Both:
    """Both networks' logits for one group of photos, and the photos' labels."""

    first: dict[str, Tensor]
    second: dict[str, Tensor]
    truth: dict[str, Tensor]

    def mixed(self, head: str, share: float) -> Tensor:
        return self.first[head].lerp(self.second[head], share)

    def knows(self, head: str) -> bool:
        return bool(self.truth[head].any())

    def loss(self, head: str, share: float) -> float:
        return partial_loss(self.mixed(head, share), self.truth[head]).item()

    def right(self, head: str, share: float) -> float:
        return top1(self.mixed(head, share), self.truth[head])

    def calibration_error(self, head: str, share: float, temperature: float) -> float:
        """Return the expected calibration error of the most probable word, over labelled photos."""
        known = self.truth[head].any(dim=1)
        shares = (self.mixed(head, share)[known] / temperature).softmax(1)
        sure, best = shares.max(dim=1)
        hits = self.truth[head][known].gather(1, best[:, None])[:, 0]
        return calibration_error(list(zip(sure.tolist(), hits.tolist(), strict=True)))


def fitted(groups: list[Both]) -> Blend:
    """Return the share and the temperature of each head."""
    shares: dict[str, float] = {}
    temperatures: dict[str, float] = {}
    for head in HEADS:
        able = [group for group in groups if group.knows(head)]
        harmless = [s for s in SHARES if all(group.right(head, s) >= group.right(head, 0.0)
                                             for group in able)]  # fmt: skip
        share = min(harmless, key=lambda s: sum(group.loss(head, s) for group in able))
        shares[head] = share
        temperatures[head] = min(
            TEMPERATURES,
            key=lambda t: max(group.calibration_error(head, share, t) for group in able),
        )
    return Blend(shares, temperatures)


def run(data: Path, cache: Path, net: Path, out: Path) -> None:
    """Write the second network with the new vocabulary and the fitted blend to ``out``."""
    loaded, photos = Checkpoint.load(net), load_real(data, cache)
    save_file(widened(loaded.words), out, describe(loaded.words))
    second = second_opinion(out)
    truth = truth_of(photos.samples, loaded.words)
    listed = list(enumerate(photos.samples))
    groups = [
        _asked(loaded, second, photos, truth, places)
        for places in (
            [i for i, s in listed if s.source == "studio" and s.held_out],
            [i for i, s in listed if people_group(s)],
        )
    ]
    blend = fitted(groups)
    save_file(widened(loaded.words), out, {**describe(loaded.words), "blend": blend.to_json()})
    for name, group in zip(("studio", "people"), groups, strict=True):
        right = {h: [round(group.right(h, s), 4) for s in (0.0, blend.shares[h])]
                 for h in HEADS if group.knows(h)}  # fmt: skip
        print(json.dumps({"photos": name, "alone_and_together": right}), flush=True)
    print(blend.to_json())


def _asked(
    net: Checkpoint, second: torch.nn.Module, photos: RealPhotos, truth: dict[str, Tensor],
    places: list[int],
) -> Both:  # fmt: skip
    rows = {head: table[torch.tensor(places)] for head, table in truth.items()}
    first = logits_at(net.net, photos, places, net.size)
    return Both(first, logits_at(second, photos, places, net.size), rows)


def main() -> None:
    given = parsed(training_parser(__doc__))
    run(data_folder(given.data), given.cache, given.net, given.out)


if __name__ == "__main__":
    main()
