"""Combines all evidence of a garment's colour; tunes on the photos that are marked for tuning.

The evidence: both networks' logits for the whole photo, both networks' logits for the garment cut
out on white, and the colours measured under the mask. The logits are averaged, multiplied by a
sharpness, and corrected by a bias for each word; the logarithm of the measured shares is added.
Writes these numbers, the scores of the photos marked for scoring, and the threshold that reaches
each target precision on them.

Examples:
    python -m training.calibration.tune_colours --data photos --net net.safetensors \\
        --second second.safetensors --out colours.json
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional as F

from agents.vision.images.garment_colour import Named, measured_colours
from agents.vision.networks.blend import Blend
from agents.vision.networks.colour_evidence import (
    FLOOR,
    SURE_PIXEL,
    Joint,
    garment_alone,
    measured_table,
)
from agents.vision.networks.weights import SHIPPED
from agents.vision.text.garments import COLOUR_MEMBERS
from agents.vision.text.naming import named_colour
from training.calibration.calibrate import TARGETS
from training.photos.data import SIZE, data_folder
from training.photos.real_data import load_real
from training.trainers.checkpoint import Checkpoint, second_opinion
from training.trainers.command import parsed, training_parser
from training.trainers.objective import partial_loss

MARKS = Path(__file__).parents[1] / "marks" / "people-colours.json"
STEPS, STIFF = 300, 0.1
GRID = tuple(round(step, 2) for step in np.arange(0.2, 0.96, 0.02))


@dataclass(frozen=True)
class Evidence:
    """Logits (n, words) from the whole photo and from the cut-out, and the measured shares."""

    whole: Tensor
    alone: Tensor
    measured: Tensor

    def joined(self, joint: Joint) -> Tensor:
        """Return logits (n, words) of all evidence together."""
        return joint.logits(self.whole, self.alone, self.measured)

    def rows(self, chosen: Sequence[int]) -> Evidence:
        return Evidence(self.whole[chosen], self.alone[chosen], self.measured[chosen])


@torch.inference_mode()
def evidence_of(
    net: Checkpoint, second: torch.nn.Module, share: float, pixels: NDArray[np.uint8], places: Named
) -> Evidence:
    """Return all evidence from photos (n, h, w, 4) of bytes, with the mask as alpha."""
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    photos, masks = planes[:, :3], planes[:, 3:]
    logits = []
    for views in (photos, garment_alone(photos, masks)):
        small = F.interpolate(views, (net.size, net.size), mode="bilinear", antialias=True)
        small = small.contiguous(memory_format=torch.channels_last)
        logits.append(net.net(small)["colour"].lerp(second(small)["colour"], share))
    words = net.words.colour
    measured = [
        measured_colours(
            np.ascontiguousarray(photo.permute(1, 2, 0).numpy()),
            mask[0].numpy() > SURE_PIXEL,
            places,
        )
        for photo, mask in zip(photos, masks, strict=True)
    ]
    return Evidence(logits[0], logits[1], measured_table(measured, words))


def fitted(seen: Evidence, truth: Tensor) -> Joint:
    """Fit the numbers on marked photos; a penalty keeps them near their initial values."""
    begun = torch.tensor([1.4, 0.4])
    numbers = begun.clone().requires_grad_(True)
    bias = torch.zeros(truth.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([numbers, bias], lr=0.02)
    for _ in range(STEPS):
        joint = (seen.whole + seen.alone) / 2 * numbers[0]
        logits = joint + numbers[1] * (seen.measured + FLOOR).log() + bias
        held = bias.square().sum() + (numbers - begun).square().sum()
        loss = partial_loss(logits, truth) + STIFF * held
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    sharpness, measured = numbers.tolist()
    return Joint(sharpness, measured, bias.detach())


def is_true(word: str, marked: Sequence[str]) -> bool:
    """Tell whether ``word``, or a narrower colour of it, was marked."""
    return word in marked or any(colour in COLOUR_MEMBERS.get(word, ()) for colour in marked)


def said_and_true(
    logits: Tensor, words: Sequence[str], marked: Sequence[Sequence[str]], at: float
) -> tuple[float, float]:
    """Return the share of photos whose colour is named, and the share of these that is true."""
    hits = []
    for row, true in zip(logits.softmax(1).tolist(), marked, strict=True):
        word, _ = named_colour(dict(zip(words, row, strict=True)), at)
        if word:
            hits.append(is_true(word, true))
    return len(hits) / len(marked), sum(hits) / max(len(hits), 1)


def threshold_of(
    logits: Tensor, words: Sequence[str], marked: Sequence[Sequence[str]], precision: float
) -> float:
    """Return the lowest threshold such that it and all higher ones reach the precision."""
    good: float = GRID[-1]
    for at in reversed(GRID):
        if said_and_true(logits, words, marked, at)[1] < precision:
            break
        good = at
    return good


def run(data: Path, cache: Path, net: Path, second: Path, out: Path) -> None:
    """Fit on the tuning photos, score on the scoring photos, and write the numbers to ``out``."""
    torch.manual_seed(1)
    marks = json.loads(MARKS.read_text())["photos"]
    photos = load_real(data, cache, catalogues=False)
    at = {s.member: i for i, s in enumerate(photos.samples) if s.source == "people"}
    loaded = Checkpoint.load(net)
    with safe_open(second, framework="pt") as file:
        share = Blend.of_json(file.metadata()["blend"]).shares["colour"]
    with safe_open(SHIPPED, framework="pt") as file:
        places: Named = {w: tuple(p) for w, p in json.loads(file.metadata()["lab"]).items()}
    pixels = photos.pixels([at[mark["file"]] for mark in marks])
    assert pixels.shape[1] == SIZE  # noqa: S101
    seen = evidence_of(loaded, second_opinion(second), share, pixels, places)
    words = loaded.words.colour
    colours = [mark["colours"] for mark in marks]
    truth = torch.tensor([[word in listed for word in words] for listed in colours])
    tuning = [i for i, mark in enumerate(marks) if mark["use"] == "tuning"]
    scoring = [i for i, mark in enumerate(marks) if mark["use"] == "scoring"]
    joint = fitted(seen.rows(tuning), truth[tuning])
    scored = seen.rows(scoring).joined(joint)
    marked = [colours[i] for i in scoring]
    thresholds = {str(target): threshold_of(scored, words, marked, target) for target in TARGETS}
    by_threshold = {
        at: [round(x, 3) for x in said_and_true(scored, words, marked, at)] for at in GRID[::2]
    }
    found = {
        "sharpness": round(joint.sharpness, 4),
        "measured": round(joint.measured, 4),
        "bias": {w: round(b, 3) for w, b in zip(words, joint.bias.tolist(), strict=True)},
        "thresholds": thresholds,
        "by_threshold": by_threshold,
        "alone": {
            name: [round(x, 3) for x in said_and_true(logits[scoring], words, marked, 0.4)]
            for name, logits in (("whole", seen.whole), ("alone", seen.alone))
        },
    }
    out.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


def main() -> None:
    parser = training_parser(__doc__)
    parser.add_argument(
        "--second", type=Path, required=True, help="weights of calibration.real_blend"
    )
    given = parsed(parser)
    run(data_folder(given.data), given.cache, given.net, given.second, given.out)


if __name__ == "__main__":
    main()
