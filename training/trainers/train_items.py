"""Trains the parts network on features of a trained encoder, which are computed once.

The network learns from street photos with masks, and from people's photos with the shipped mask
and the photo's label. Writes the weights to ``--out``, and scores on held-out street photos and the
curve beside it.

Examples:
    python -m training.trainers.train_items --net net.safetensors --out parts.safetensors
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from agents.vision.networks.encoder import Encoder
from agents.vision.networks.parts import PARTS, PartsDecoder
from training.photos.augment import float_planes
from training.photos.data import data_folder
from training.trainers.checkpoint import Checkpoint
from training.trainers.command import parsed, training_parser
from training.trainers.curves import History
from training.trainers.train_parts import Lessons, lessons_of, parts_loss, views_of
from training.trainers.trainer import rate_at

STRIDES = (8, 16, 32)
ROUNDS, BATCH, RATE = 220, 48, 3e-3
"""`ROUNDS` batches of `train_parts.views_of` are kept: 3,520 views."""


@dataclass(frozen=True)
class Views:
    """Features by stride (n, c, h, w) and parts (n, 13, h/8, w/8) of views, in half precision."""

    levels: dict[int, Tensor]
    parts: Tensor

    def rows(self, chosen: Tensor) -> tuple[dict[int, Tensor], Tensor]:
        """Return chosen views in single precision; half of them are mirrored."""
        flip = bool(torch.rand(()) < 0.5)
        found = [
            self.parts[chosen].float(),
            *(level[chosen].float() for level in self.levels.values()),
        ]
        parts, *levels = [one.flip(3) for one in found] if flip else found
        return dict(zip(self.levels, levels, strict=True)), parts


@torch.inference_mode()
def views(lessons: Lessons, encoder: Encoder, size: int, rounds: int) -> Views:
    """Compute the features of ``rounds`` batches of views."""
    rng = np.random.default_rng(1)
    levels: dict[int, list[Tensor]] = {stride: [] for stride in STRIDES}
    parts: list[Tensor] = []
    for done in range(rounds):
        photos, _, shares = views_of(lessons, rng, size, 0)
        found, _ = encoder(photos.contiguous(memory_format=torch.channels_last))
        for stride in STRIDES:
            levels[stride].append(found[stride].half().contiguous())
        parts.append(F.interpolate(shares, size=found[8].shape[2:], mode="area").half())
        if done % 50 == 0:
            print(f"views {done}/{rounds}", flush=True)
    return Views({stride: torch.cat(kept) for stride, kept in levels.items()}, torch.cat(parts))


@torch.inference_mode()
def scores_of(
    decoder: PartsDecoder, encoder: Encoder, lessons: Lessons, size: int
) -> dict[str, float]:
    """Return each part's mean IoU on held-out street photos, and the mean over garments."""
    decoder.eval()
    by_part: dict[str, list[float]] = {part: [] for part in PARTS}
    for start in range(0, len(lessons.unseen_street), 32):
        places = lessons.unseen_street[start : start + 32]
        planes = float_planes(torch.from_numpy(lessons.photos.pixels(places)))[:, :3]
        seen = F.interpolate(planes, size=(size, size), mode="bilinear", antialias=True)
        true = torch.from_numpy(lessons.parts(places)).long()
        logits = decoder(encoder(seen)[0])
        said = F.interpolate(logits, size=true.shape[1:], mode="bilinear").argmax(dim=1)
        for number, part in enumerate(PARTS):
            for one, other in zip(said == number, true == number, strict=True):
                if other.float().mean() > 0.003:
                    by_part[part].append(float((one & other).sum() / (one | other).sum()))
    scores = {part: float(np.mean(hits)) for part, hits in by_part.items() if hits}
    kinds = [scores[part] for part in PARTS[2:-1] if part in scores]
    return {"per_garment": round(float(np.mean(kinds)), 4)} | {
        part: round(score, 4) for part, score in scores.items()
    }


def train(data: Path, cache: Path, net: Path, out: Path, passes: int, rounds: int) -> None:
    """Train for ``passes`` over the views; write the weights, their scores and the curve."""
    torch.manual_seed(1)
    lessons, loaded = lessons_of(data, cache), Checkpoint.load(net)
    encoder, size = loaded.net.encoder, loaded.size
    made = views(lessons, encoder, size, rounds)
    decoder, history = PartsDecoder().to(memory_format=torch.channels_last), History()
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=RATE, weight_decay=0.02)
    steps = passes * math.ceil(len(made.parts) / BATCH)
    for step in range(steps):
        levels, parts = made.rows(torch.randint(len(made.parts), (BATCH,)))
        loss = parts_loss(decoder.train()(levels), parts)
        for group in optimiser.param_groups:
            group["lr"] = RATE * rate_at(step / steps)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % 50 == 0:
            history.losses.append((step, loss.item()))
        if step % 200 == 199 or step == steps - 1:
            found = scores_of(decoder, encoder, lessons, size)
            print(f"{step + 1}/{steps} {loss.item():.3f} {json.dumps(found)}", flush=True)
            history.scores.append((step, {"IoU, mean over kinds": found["per_garment"]}))
            state = {k: v.contiguous() for k, v in decoder.state_dict().items()}
            save_file(state, out, {"parts": json.dumps(PARTS)})
            out.with_suffix(".json").write_text(json.dumps(found, indent=2))
    history.draw(out.with_suffix(".png"), "parts network")


def main() -> None:
    parser = training_parser(__doc__)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="batches of views")
    given = parsed(parser)
    data = data_folder(given.data)
    train(data, given.cache, given.net, given.out, given.passes, given.rounds)


if __name__ == "__main__":
    main()
