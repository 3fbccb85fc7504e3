"""Trains the mask network on composites, with the features of the trained encoder.

Examples:
    python -m training.trainers.train_mask --net net.safetensors --out mask.safetensors
"""

import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from agents.vision.networks.encoder import Encoder
from agents.vision.networks.mask import MaskDecoder
from training.photos.augment import masked_views
from training.photos.data import CATALOGUES, TRAIN_PHOTOS, Photos, data_folder, load_photos
from training.photos.silhouettes import silhouettes
from training.trainers.checkpoint import Checkpoint
from training.trainers.command import parsed, training_parser
from training.trainers.curves import History
from training.trainers.trainer import rate_at

SIZE, STUDIO_BATCH, PEOPLE_BATCH, RATE = 128, 24, 8, 4e-3


def loss_of(logits: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy plus the soft Dice loss (Milletari et al., "V-Net", 2016)."""
    found = logits.sigmoid()
    overlap = 2 * (found * masks).sum(dim=(1, 2, 3)) + 1
    dice = 1 - overlap / ((found + masks).sum(dim=(1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(logits, masks) + dice.mean()


def iou(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the intersection over union of each mask, thresholded at 0.5, (n,)."""
    found, true = logits > 0, masks > 0.5
    both = (found & true).sum(dim=(1, 2, 3))
    return both / (found | true).sum(dim=(1, 2, 3)).clamp(min=1)


def usable(photos: Photos, held_out: bool) -> NDArray[np.intp]:
    """Return the indices of studio photos whose white background could be separated."""
    chosen = [i for i, e in enumerate(photos.examples)
              if e.is_catalogue and e.held_out is held_out
              and photos.pixels[i, ::8, ::8, 3].min() < 128]  # fmt: skip
    return np.array(chosen)


def held_out_iou(
    encoder: Encoder, decoder: MaskDecoder, photos: Photos, places: NDArray[np.intp]
) -> float:
    """Return the mean IoU on composites of held-out products. The composites are seeded."""
    state = torch.get_rng_state()
    torch.manual_seed(7)
    rng = np.random.default_rng(7)
    scenes = np.array([i for i, e in enumerate(photos.examples) if not e.is_catalogue])
    found = []
    for start in range(0, min(len(places), 512), 32):
        studio = torch.from_numpy(photos.pixels[places[start : start + 32]])
        scene = torch.from_numpy(photos.pixels[rng.choice(scenes, 16, replace=False)])
        views, masks = masked_views(studio, scene[:0], scene, SIZE)
        with torch.inference_mode():
            found.append(iou(decoder.eval()(encoder(views)[0], views), masks))
    torch.set_rng_state(state)
    return float(torch.cat(found).mean())


def train(data: Path, cache: Path, net: Path, out: Path, minutes: float) -> None:
    """Train for ``minutes``; write the decoder's weights and their score to ``out``."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    photos = load_photos(data, cache, [*CATALOGUES, TRAIN_PHOTOS])
    encoder = Checkpoint.load(net).net.encoder
    decoder = MaskDecoder().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=RATE, weight_decay=0.01)
    studio, held_out = usable(photos, False), usable(photos, True)
    scenes = np.array([i for i, e in enumerate(photos.examples) if not e.is_catalogue])
    people = silhouettes(photos, scenes, cache)
    began, step, history = time.monotonic(), 0, History()
    while (progress := (time.monotonic() - began) / 60 / minutes) < 1:
        step += 1
        chosen = torch.from_numpy(photos.pixels[rng.choice(studio, STUDIO_BATCH, replace=False)])
        real = torch.from_numpy(people[rng.choice(len(people), PEOPLE_BATCH, replace=False)])
        scene = torch.from_numpy(photos.pixels[rng.choice(scenes, 16, replace=False)])
        views, masks = masked_views(chosen, real, scene, SIZE)
        views = views.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            levels, _ = encoder(views)
        loss = loss_of(decoder.train()(levels, views), masks)
        for group in optimiser.param_groups:
            group["lr"] = RATE * rate_at(progress)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % 50 == 0:
            print(f"{step} {progress:.3f} {loss.item():.3f}", flush=True)
            history.losses.append((step, loss.item()))
        if step % 400 == 0:
            score = held_out_iou(encoder, decoder, photos, held_out)
            history.scores.append((step, {"mask IoU": score}))
    score = held_out_iou(encoder, decoder, photos, held_out)
    state = {name: tensor.contiguous() for name, tensor in decoder.state_dict().items()}
    save_file(state, out, {"iou": f"{score:.4f}", "steps": str(step)})
    history.draw(out.with_suffix(".png"), "mask")
    print(json.dumps({"steps": step, "held_out_iou": round(score, 4)}), flush=True)


def main() -> None:
    parser = training_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    given = parsed(parser)
    train(data_folder(given.data), given.cache, given.net, given.out, given.minutes)


if __name__ == "__main__":
    main()
