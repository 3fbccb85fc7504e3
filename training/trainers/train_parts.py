"""Trains the mask network further with a trained encoder's features, from the shipped weights.

The network learns from studio cut-outs on other backgrounds, from street photos with masks, and
from people's photos with the shipped mask. Writes the weights to ``--out``, and the held-out scores
beside it. Training resumes from an existing file. `training.trainers.train_items` uses the same
views, with the kind of garment at each pixel.

Examples:
    python -m training.trainers.train_parts --net net.safetensors --out mask.safetensors
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from agents.vision.networks.encoder import Encoder
from agents.vision.networks.mask import MaskDecoder
from agents.vision.networks.parts import PARTS
from agents.vision.networks.weights import SHIPPED
from training.photos.augment import blurred, composed, float_planes, jpeg_noise, placed, relit
from training.photos.data import SIZE, data_folder
from training.photos.parts import part_of_label, table_of
from training.photos.real_data import RealPhotos, load_real, street_labels, street_photos
from training.trainers.checkpoint import Checkpoint
from training.trainers.command import parsed, training_parser
from training.trainers.curves import History
from training.trainers.train_mask import iou, loss_of
from training.trainers.trainer import rate_at

STUDIO, PEOPLE, STREET = 10, 6, 10
RATE = 2e-3
# Rare parts have larger weights.
WEIGHTS = (0.4, 0.8, 1.0, 1.0, 1.3, 1.2, 1.3, 1.5, 1.3, 2.0, 2.0, 1.5, 0.8)
Numbers = NDArray[np.uint8]


@dataclass(frozen=True)
class Lessons:
    """Indices of the photos of each source, and the part of each pixel of the street photos."""

    photos: RealPhotos
    studio: NDArray[np.intp]
    people: NDArray[np.intp]
    street: NDArray[np.intp]
    masks: Numbers
    rows: dict[int, int]
    unseen_studio: NDArray[np.intp]
    unseen_street: NDArray[np.intp]

    def parts(self, places: NDArray[np.intp]) -> Numbers:
        """Return the parts of the street photos at these indices, (n, SIZE, SIZE)."""
        return self.masks[[self.rows[int(place)] for place in places]]


def lessons_of(data: Path, cache: Path) -> Lessons:
    """Load all photos with masks."""
    photos = load_real(data, cache)
    listed = list(enumerate(photos.samples))
    masks = street_parts(data, cache)
    outfits = {s.member: i for i, s in listed if s.source == "street"}
    with_mask = {member: row for row, member in enumerate(masks[0])}
    street = [i for member, i in outfits.items() if member in with_mask]
    studio = [i for i, s in listed if s.source == "studio" and s.archive == "catalogue-224"]
    cut = [i for i in studio if 0.04 < photos.pixels([i])[0, ::8, ::8, 3].mean() / 255 < 0.9]
    held = {i for i, s in listed if s.held_out}
    people = [
        i for i, s in listed
        if s.source == "people" and s.trained and part_of_label(s.label) is not None
    ]  # fmt: skip
    return Lessons(
        photos,
        np.array([i for i in cut if i not in held]),
        np.array(people),
        np.array([i for i in street if i not in held]),
        masks[1],
        {outfits[member]: row for member, row in with_mask.items()},
        np.array([i for i in cut if i in held]),
        np.array([i for i in street if i in held]),
    )


def street_parts(data: Path, cache: Path) -> tuple[list[str], Numbers]:
    """Return the names of the street photos with masks, and their parts (n, SIZE, SIZE)."""
    path, listing = cache / f"street-parts-{SIZE}.npy", cache / f"street-parts-{SIZE}.json"
    if not listing.is_file():
        table = np.asarray(table_of(street_labels(data)), np.uint8)
        names, maps = [], []
        for member, _, mask, _ in street_photos(data):
            if mask is not None:
                small = Image.fromarray(table[mask]).resize((SIZE, SIZE), Image.Resampling.NEAREST)
                names.append(member)
                maps.append(np.asarray(small))
        np.save(path, np.stack(maps))
        listing.write_text(json.dumps(names))
    loaded: Numbers = np.load(path)
    return json.loads(listing.read_text()), loaded


def one_hot(parts: Numbers) -> Tensor:
    """Return part numbers (n, h, w) as one plane for each part, (n, 13, h, w)."""
    return F.one_hot(torch.from_numpy(parts).long(), len(PARTS)).permute(0, 3, 1, 2).float()


def views_of(
    lessons: Lessons, rng: np.random.Generator, size: int, studios: int = STUDIO
) -> tuple[Tensor, Tensor, Tensor]:
    """Return views (n, 3, ...), their masks (n, 1, ...), and the parts (m, 13, ...) of the last m.

    Studio composites come first, then people's photos, then street photos.
    """
    photos = lessons.photos
    studio = float_planes(_chosen(photos, rng.choice(lessons.studio, studios, replace=False)))
    folk_places = rng.choice(lessons.people, PEOPLE, replace=False)
    folk = float_planes(_chosen(photos, folk_places))
    outfit_places = rng.choice(lessons.street, STREET, replace=False)
    outfits = float_planes(_chosen(photos, outfit_places))
    keep = torch.rand(studios, 1, 1) < 0.15
    scenes = torch.cat([folk, outfits])
    made, made_masks = (
        composed(studio, scenes, size, keep)
        if studios
        else (torch.zeros(0, 3, size, size), torch.zeros(0, 1, size, size))
    )
    labelled = torch.zeros(PEOPLE, len(PARTS), SIZE, SIZE)
    for row, place in enumerate(folk_places):
        part = part_of_label(photos.samples[place].label)
        labelled[row, 0] = 1 - folk[row, 3]
        labelled[row, part or 0] += folk[row, 3]
    layers = torch.cat([labelled, one_hot(lessons.parts(outfit_places))])
    whole = torch.cat([torch.cat([folk, outfits])[:, :3], layers], dim=1)
    real = placed(whole, size, (0.55, 1.1), math.radians(15), "reflection")
    views, parts = torch.cat([made, real[:, :3]]), real[:, 3:]
    masks = torch.cat([made_masks, 1 - parts[:, :1]])
    views = relit(views, torch.ones(len(views)))
    return jpeg_noise(blurred(views)).clamp_(0, 1), masks.clamp(0, 1), parts.clamp(0, 1)


def _chosen(photos: RealPhotos, places: NDArray[np.intp]) -> Tensor:
    return torch.from_numpy(photos.pixels(places))


def parts_loss(logits: Tensor, parts: Tensor) -> Tensor:
    """Return the cross-entropy between the predicted parts and the true parts.

    The truth of an output pixel is the share of each part in its area. Rare parts have larger
    weights.
    """
    shares = F.interpolate(parts, size=logits.shape[2:], mode="area")
    weights = torch.tensor(WEIGHTS)[None, :, None, None]
    return -(shares * weights * logits.log_softmax(dim=1)).sum(dim=1).mean()


def begun(out: Path) -> MaskDecoder:
    """Load the file of an earlier training; without one, the shipped mask network."""
    network = MaskDecoder()
    network.load_state_dict(load_file(out) if out.is_file() else _shipped_mask())
    return network.to(memory_format=torch.channels_last)


def write(network: MaskDecoder, scores: dict[str, float], out: Path) -> None:
    """Write the weights to ``out`` and the scores beside it."""
    metadata = {name: f"{score:.4f}" for name, score in scores.items()}
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, out, metadata)
    out.with_suffix(".json").write_text(json.dumps(scores, indent=2))


def _shipped_mask() -> dict[str, Tensor]:
    with safe_open(SHIPPED, framework="pt") as file:
        return {k.removeprefix("mask."): file.get_tensor(k).float()
                for k in file.keys() if k.startswith("mask.")}  # noqa: SIM118  # fmt: skip


@torch.inference_mode()
def scores_of(
    encoder: Encoder, network: MaskDecoder, lessons: Lessons, size: int
) -> dict[str, float]:
    """Return the mask's mean IoU on held-out composites and outfits."""
    network.eval()
    state = torch.get_rng_state()
    torch.manual_seed(7)
    rng = np.random.default_rng(7)
    found: list[Tensor] = []
    for start in range(0, min(len(lessons.unseen_studio), 256), 32):
        studio = float_planes(_chosen(lessons.photos, lessons.unseen_studio[start : start + 32]))
        scenes = float_planes(_chosen(lessons.photos, rng.choice(lessons.people, 16)))
        nowhere = torch.zeros(len(studio), 1, 1, dtype=torch.bool)
        views, masks = composed(studio, scenes, size, nowhere)
        found.append(iou(network(encoder(views)[0], views), masks))
    torch.set_rng_state(state)
    outfits: list[Tensor] = []
    for start in range(0, len(lessons.unseen_street), 32):
        places = lessons.unseen_street[start : start + 32]
        planes = float_planes(_chosen(lessons.photos, places))[:, :3]
        views = F.interpolate(planes, size=(size, size), mode="bilinear", antialias=True)
        true = torch.from_numpy(lessons.parts(places)).long()
        mask = network(encoder(views)[0], views)
        whole = F.interpolate(mask, size=true.shape[1:], mode="bilinear")
        outfits.append(iou(whole, (true > 0).float()[:, None]))
    means = {"composites": torch.cat(found), "outfits": torch.cat(outfits)}
    return {name: round(float(hits.mean()), 4) for name, hits in means.items()}


def train(data: Path, cache: Path, net: Path, out: Path, minutes: float) -> None:
    """Train for ``minutes``; write the weights and their scores."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    lessons, loaded = lessons_of(data, cache), Checkpoint.load(net)
    encoder, size = loaded.net.encoder, loaded.size
    network = begun(out)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
    started, step, history = time.monotonic(), 0, History()
    while (progress := (time.monotonic() - started) / 60 / minutes) < 1:
        step += 1
        views, masks, _ = views_of(lessons, rng, size)
        views = views.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            levels, _ = encoder(views)
        loss = loss_of(network.train()(levels, views), masks)
        for group in optimiser.param_groups:
            group["lr"] = RATE * rate_at(progress)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % 20 == 0:
            print(f"{step} {progress:.3f} {loss.item():.3f}", flush=True)
            history.losses.append((step, loss.item()))
        if step % 200 == 0:
            found = scores_of(encoder, network, lessons, size)
            print(json.dumps(found), flush=True)
            history.scores.append((step, found))
            write(network, found, out)
    found = scores_of(encoder, network, lessons, size)
    write(network, found, out)
    history.scores.append((step, found))
    history.draw(out.with_suffix(".png"), "mask")
    print(json.dumps({"steps": step, **found}), flush=True)


def main() -> None:
    parser = training_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    given = parsed(parser)
    train(data_folder(given.data), given.cache, given.net, given.out, given.minutes)


if __name__ == "__main__":
    main()
