"""Combines all evidence of a garment's colour; tunes on the photos that are marked for tuning.

The evidence: both networks' logits for the whole photo, both networks' logits for the garment cut
out on white, and the colours measured under the mask. The logits are averaged, multiplied by a
sharpness, and corrected by a bias for each word; the logarithm of the measured shares is added.
Writes these numbers and the threshold for ``--precision``, and scores the photos marked for
scoring.

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
from agents.vision.networks.weights import SHIPPED
from training.calibration.naming import named_colour
from training.photos.data import SIZE, data_folder
from training.photos.garments import COLOUR_MEMBERS
from training.photos.real_data import load_real
from training.trainers.checkpoint import Checkpoint, second_opinion
from training.trainers.command import parsed, training_parser
from training.trainers.objective import partial_loss

MARKS = Path(__file__).parents[1] / "marks" / "people-colours.json"
WHITE, SURE_PIXEL, LEAST_PIXELS, FLOOR = 0.98, 0.5, 200, 0.03
STEPS, STIFF = 300, 0.1
GRID = tuple(round(step, 2) for step in np.arange(0.2, 0.96, 0.02))


@dataclass(frozen=True)
class Evidence:
    """Logits (n, words) from the whole photo and from the cut-out, and the measured shares."""

    whole: Tensor
    alone: Tensor
    measured: Tensor

    def rows(self, chosen: Sequence[int]) -> Evidence:
        return Evidence(self.whole[chosen], self.alone[chosen], self.measured[chosen])


@dataclass(frozen=True)
class Joint:
    """The numbers that turn evidence into logits."""

    sharpness: float
    measured: float
    bias: Tensor

    def logits(self, seen: Evidence) -> Tensor:
        """Return the logits (n, words) of all evidence together."""
        both = (seen.whole + seen.alone) / 2 * self.sharpness
        return both + self.measured * (seen.measured + FLOOR).log() + self.bias


def garment_alone(photos: Tensor, masks: Tensor) -> Tensor:
    """Return the garments on white, cropped to their masks' boxes and stretched to (h, w).

    ``photos`` (n, 3, h, w) and ``masks`` (n, 1, h, w) are 0-1. A photo with fewer than
    `LEAST_PIXELS` mask pixels is returned unchanged.
    """
    found = []
    for photo, mask in zip(photos, masks, strict=True):
        rows, columns = torch.nonzero(mask[0] > SURE_PIXEL, as_tuple=True)
        if len(rows) < LEAST_PIXELS:
            found.append(photo)
            continue
        white = photo * mask + (1 - mask) * WHITE
        box = white[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        found.append(F.interpolate(box[None], photo.shape[1:], mode="bilinear")[0])
    return torch.stack(found)


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
    measured = torch.zeros(len(pixels), len(words))
    for row, photo in enumerate(photos):
        flat = np.ascontiguousarray(photo.permute(1, 2, 0).numpy())
        for word, part in measured_colours(flat, masks[row, 0].numpy() > SURE_PIXEL, places):
            if word in words:
                measured[row, words.index(word)] = part
    return Evidence(logits[0], logits[1], measured)


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


def run(data: Path, cache: Path, net: Path, second: Path, out: Path, precision: float) -> None:
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
    threshold = threshold_of(
        joint.logits(seen.rows(tuning)), words, [colours[i] for i in tuning], precision
    )
    scored = joint.logits(seen.rows(scoring))
    marked = [colours[i] for i in scoring]
    by_threshold = {
        at: [round(x, 3) for x in said_and_true(scored, words, marked, at)] for at in GRID[::2]
    }
    named, true = said_and_true(scored, words, marked, threshold)
    found = {
        "sharpness": round(joint.sharpness, 4),
        "measured": round(joint.measured, 4),
        "bias": {w: round(b, 3) for w, b in zip(words, joint.bias.tolist(), strict=True)},
        "threshold": threshold,
        "named": round(named, 4),
        "true": round(true, 4),
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
    parser.add_argument("--precision", type=float, default=0.95)
    given = parsed(parser)
    run(data_folder(given.data), given.cache, given.net, given.second, given.out, given.precision)


if __name__ == "__main__":
    main()
