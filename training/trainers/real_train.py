"""Trains the garment network on real-world photos, starting from the shipped weights.

Training writes a checkpoint every few minutes and on SIGTERM or Ctrl-C. The same command resumes
from the checkpoint. The folder also holds the averaged weights, the history with their scores, and
the best weights so far.

Examples:
    python -m training.trainers.real_train --data photos --folder build/real --minutes 75
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from agents.vision.networks.garment_net import HEADS, GarmentNet
from training.photos.data import Words, data_folder, default_cache, describe
from training.photos.labels import vocabulary
from training.photos.real_data import RealPhotos, Sample, load_real
from training.photos.real_labels import PEOPLE_LABELS, RELATIVES, STREET_TAGS
from training.photos.real_views import real_views
from training.trainers.real_scores import scores_of
from training.trainers.trainer import Recipe, Trainer

SOURCES = ("studio", "people", "worn", "street", "nothing")
BALANCE = {"studio": 0.35, "people": 0.45, "worn": 0.45, "street": 0.3, "nothing": 0.3}
"""Oversampling of rare labels.

The weight of a photo is its label's count to the power of minus this.
"""


@dataclass(frozen=True)
class Mixture:
    """The photos of each source in a batch, and the number of frozen encoder stages.

    Views are `Recipe.small` pixels wide until the share `Recipe.large_from` of the training, then
    `Recipe.large` pixels.
    """

    counts: dict[str, int]
    frozen: int = 3


def _network(sizes: object) -> torch.nn.Module:
    """Return a garment network. Its initial weights are loaded later."""
    assert isinstance(sizes, dict)  # noqa: S101
    return GarmentNet(sizes)


RECIPE = Recipe(
    "garment-net-3", _network, {
        "type": 1.0, "colour": 0.6, "gender": 0.5, "pattern": 0.2, "sleeve": 0.2, "neckline": 0.2,
    }, studio=40, people=30, epochs=1, keep=0.7, lamps=0.5, small=128, large=160, large_from=0.4,
    rate=2e-3, encoders_share=0.3, averaging=0.996,
)  # fmt: skip
MIXTURE = Mixture({"studio": 40, "people": 30, "worn": 12, "street": 6, "nothing": 8})


def words_of(samples: Sequence[Sample]) -> Words:
    """Return the vocabularies.

    Frequent words of studio photos, and all words of real-world labels.
    """
    studio = [s for s in samples if s.source == "studio"]
    always = {w for listed in (*PEOPLE_LABELS.values(), *STREET_TAGS.values()) for w in listed}
    always |= {w for s in samples if s.source == "nothing" for w in s.types}

    def named(head: str, and_always: Sequence[str] = ()) -> tuple[str, ...]:
        return vocabulary((w for s in studio for w in s.words(head)), always=and_always)

    return Words(
        type=named("type", sorted(always)),
        colour=named("colour"),
        gender=named("gender", ["baby"]),
        pattern=named("pattern"),
        sleeve=named("sleeve"),
        neckline=named("neckline"),
    )


def truth_of(samples: Sequence[Sample], words: Words) -> dict[str, Tensor]:
    """Return a bool table (n, words) of true words for each head.

    Rows without one have no label.
    """
    tables: dict[str, Tensor] = {}
    for head in HEADS:
        places = {word: place for place, word in enumerate(getattr(words, head))}
        table = torch.zeros(len(samples), len(places), dtype=torch.bool)
        for row, sample in enumerate(samples):
            for word in sample.words(head):
                if word in places:
                    table[row, places[word]] = True
        tables[head] = table
    return tables


def begin_from_shipped(network: GarmentNet, words: Words) -> None:
    """Load the shipped encoder and heads.

    A new word starts with the weights of the old word that `RELATIVES` names. A new word without
    such an old word keeps its random weights.
    """
    from safetensors import safe_open

    from agents.vision.networks.weights import SHIPPED

    with safe_open(SHIPPED, framework="pt") as file:
        old_words = {head: json.loads(file.metadata()[head]) for head in HEADS}
        old = {k.removeprefix("net."): file.get_tensor(k).float()
               for k in file.keys() if k.startswith("net.")}  # noqa: SIM118  # fmt: skip
    state = network.state_dict()
    for key, tensor in old.items():
        parts = key.split(".")
        if parts[0] == "heads" and parts[2] == "words":
            head = parts[1].removesuffix("_head")
            places = {word: place for place, word in enumerate(old_words[head])}
            for row, word in enumerate(getattr(words, head)):
                known = word if word in places else RELATIVES.get(word, "")
                if known in places:
                    state[key][row] = tensor[places[known]]
        else:
            state[key] = tensor
    network.load_state_dict(state)


def draws(
    samples: Sequence[Sample], mixture: Mixture, rng: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """Yield endless batches of photo indices, ordered by source; rare labels are oversampled."""
    pools = {s: np.array([i for i, e in enumerate(samples) if e.source == s and e.trained])
             for s in SOURCES}  # fmt: skip
    weights: dict[str, NDArray[np.float64]] = {}
    for source, pool in pools.items():
        keys = [_balanced_by(samples[i]) for i in pool]
        counts = Counter(keys)
        raw = np.array([counts[key] ** -BALANCE[source] for key in keys])
        weights[source] = raw / raw.sum()
    while True:
        yield np.concatenate(
            [rng.choice(pools[s], mixture.counts[s], False, weights[s]) for s in SOURCES]
        )


def _balanced_by(sample: Sample) -> tuple[object, ...]:
    """Return the key by which photos are counted for oversampling."""
    kids = bool({"boys", "baby"} & set(sample.wearers)) and sample.source == "people"
    if sample.source == "nothing":
        return (sample.archive,)
    return (sample.label if sample.source == "people" else sample.types, kids)


@dataclass
class Progress:
    """The progress, losses and scores of a training. The checkpoint contains them."""

    step: int = 0
    minutes: float = 0.0
    best: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)
    scores: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """The folder, the length of training, the intervals of saving and scoring, and the seed.

    Times are in minutes.
    """

    folder: Path
    minutes: float
    steps: int = 1_000_000
    save_every: float = 4.0
    score_every: float = 12.0
    seed: int = 1


class RealTraining:
    """One training that can be stopped and resumed."""

    def __init__(self, photos: RealPhotos, plan: Plan) -> None:
        torch.manual_seed(plan.seed)
        self.photos, self.plan = photos, plan
        self.words = words_of(photos.samples)
        self.truth = truth_of(photos.samples, self.words)
        self.trainer = Trainer(RECIPE, {h: len(getattr(self.words, h)) for h in HEADS})
        self.progress = Progress()
        for network in (self.trainer.network, self.trainer.average):
            assert isinstance(network, GarmentNet)  # noqa: S101
            begin_from_shipped(network, self.words)
        self._freeze()
        self.stop_asked = False
        if self._checkpoint.is_file():
            self._resume()

    @property
    def _checkpoint(self) -> Path:
        return self.plan.folder / "checkpoint.pt"

    def _freeze(self) -> None:
        network = self.trainer.network
        assert isinstance(network, GarmentNet)  # noqa: S101
        self._still = [network.encoder.stem, *network.encoder.stages[: MIXTURE.frozen]]
        for module in self._still:
            module.requires_grad_(False)
        self.trainer.keep_still(self._still)

    def run(self) -> None:
        """Train until the plan's end or until ``stop_asked``; then score and save."""
        plan, progress = self.plan, self.progress
        batches = draws(
            self.photos.samples, MIXTURE, np.random.default_rng([plan.seed, progress.step])
        )
        last, saved, scored = time.monotonic(), progress.minutes, progress.minutes
        while (done := self._done()) < 1 and not self.stop_asked:
            loss = self._step(next(batches), done)
            now = time.monotonic()
            progress.minutes, last = progress.minutes + (now - last) / 60, now
            progress.step = self.trainer.step_count
            if progress.step % 20 == 0:
                progress.losses.append((progress.step, round(loss, 4)))
                print(
                    f"{progress.step} {done:.3f} {progress.minutes:.1f}min {loss:.3f}", flush=True
                )
            if progress.minutes - saved > plan.save_every:
                self.save()
                saved = progress.minutes
            if progress.minutes - scored > plan.score_every:
                self.score()
                scored = progress.minutes
        self.score()
        self.save()

    def _done(self) -> float:
        return max(self.progress.minutes / self.plan.minutes, self.progress.step / self.plan.steps)

    def _step(self, places: NDArray[np.intp], done: float) -> float:
        counts = MIXTURE.counts
        pixels = torch.from_numpy(self.photos.pixels(places))
        size = RECIPE.large if done >= RECIPE.large_from else RECIPE.small
        ends = np.cumsum([counts["studio"], counts["people"] + counts["worn"]])
        views = real_views(
            pixels[: ends[0]], pixels[ends[0] : ends[1]], pixels[ends[1] :], size, RECIPE.keep,
            RECIPE.lamps,
        )  # fmt: skip
        chosen = torch.from_numpy(places)
        truth = {head: table[chosen] for head, table in self.truth.items()}
        return self.trainer.step(views, truth, done)

    def save(self) -> None:
        """Write the checkpoint atomically, then the averaged weights and the history."""
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        kept = {
            "network": self.trainer.network.state_dict(),
            "average": self.trainer.average.state_dict(),
            "optimiser": self.trainer.optimiser.state_dict(),
            "random": torch.get_rng_state(),
            "progress": asdict(self.progress),
        }
        fresh = self._checkpoint.with_suffix(".new")
        torch.save(kept, fresh)
        fresh.replace(self._checkpoint)
        self._write(self.plan.folder / "net.safetensors")
        (self.plan.folder / "history.json").write_text(json.dumps(asdict(self.progress)))

    def _write(self, path: Path) -> None:
        metadata = {"name": RECIPE.name, "input": str(RECIPE.large),
                    "steps": str(self.progress.step), **describe(self.words)}  # fmt: skip
        state = {k: v.half().contiguous() if v.is_floating_point() else v
                 for k, v in self.trainer.average.state_dict().items()}  # fmt: skip
        save_file(state, path, metadata)

    def score(self) -> None:
        """Score the averaged weights on validation photos.

        Keep the weights if they are the best so far.
        """
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        found = scores_of(self.trainer.average, self.photos, self.truth, self.words, RECIPE.large)
        found["step"] = self.progress.step
        self.progress.scores.append(found)
        print(json.dumps(found), flush=True)
        if found["chosen_by"] >= self.progress.best:
            self.progress.best = found["chosen_by"]
            self._write(self.plan.folder / "best.safetensors")

    def _resume(self) -> None:
        kept = torch.load(self._checkpoint, weights_only=True)
        self.trainer.network.load_state_dict(kept["network"])
        self.trainer.average.load_state_dict(kept["average"])
        self.trainer.optimiser.load_state_dict(kept["optimiser"])
        torch.set_rng_state(kept["random"])
        self.progress = Progress(**kept["progress"])
        self.trainer.step_count = self.progress.step
        print(f"resuming from step {self.progress.step}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="folder of the photo archives; default LOOKSTREAM_DATA"
    )
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="folder for decoded photos"
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="folder for checkpoints and weights"
    )
    parser.add_argument(
        "--minutes", type=float, default=75, help="minutes of training, all runs together"
    )
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    photos = load_real(data_folder(given.data), given.cache)
    training = RealTraining(photos, Plan(given.folder, given.minutes, seed=given.seed))

    def stop(_number: int, _frame: FrameType | None) -> None:
        training.stop_asked = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    training.run()


if __name__ == "__main__":
    main()
