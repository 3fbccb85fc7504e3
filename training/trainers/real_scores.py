"""Quick scores of a network in training on validation photos, without captions.

`training.scoring.score` measures the product's captions. Here an answer is right if the head's most
probable word is one of the photo's true words.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.vision.text.garments import NOTHING
from training.photos.data import Words
from training.photos.real_data import RealPhotos, Sample
from training.trainers.objective import top1

STUDIO_EVERY = 3
"""During training, every third held-out studio photo is scored."""


@torch.inference_mode()
def logits_at(
    network: nn.Module, photos: RealPhotos, places: list[int], size: int
) -> dict[str, Tensor]:
    """Return the heads' logits for the unaugmented photos at these indices."""
    parts: list[dict[str, Tensor]] = []
    for start in range(0, len(places), 64):
        pixels = torch.from_numpy(photos.pixels(places[start : start + 64]))
        planes = pixels[..., :3].permute(0, 3, 1, 2).float() / 255
        planes = F.interpolate(planes, size=(size, size), mode="bilinear", antialias=True)
        parts.append(network(planes.contiguous(memory_format=torch.channels_last)))
    return {head: torch.cat([part[head] for part in parts]) for head in parts[0]}


def people_group(sample: Sample) -> bool:
    """Tell whether a people's photo is for validation: no weights were trained on it."""
    return sample.source == "people" and not sample.trained and sample.unseen


def scores_of(
    network: nn.Module, photos: RealPhotos, truth: dict[str, Tensor], words: Words, size: int
) -> dict[str, float]:
    """Return scores by name, 0-1. The weights with the best ``chosen_by`` are kept."""
    samples = photos.samples
    studio = [i for i, s in enumerate(samples) if s.source == "studio" and s.held_out]
    groups = {
        "people": [i for i, s in enumerate(samples) if people_group(s)],
        "street": [i for i, s in enumerate(samples) if s.source == "street" and s.held_out],
        "worn": [i for i, s in enumerate(samples) if s.source == "worn" and s.held_out],
        "nothing": [i for i, s in enumerate(samples) if s.source == "nothing" and s.held_out],
        "studio": studio[::STUDIO_EVERY],
    }
    found: dict[str, float] = {}
    for name, places in groups.items():
        logits = logits_at(network, photos, places, size)
        rows = {head: table[torch.tensor(places)] for head, table in truth.items()}
        found[f"{name}_type"] = top1(logits["type"], rows["type"])
        if name == "studio":
            for head in ("colour", "gender", "pattern", "neckline"):
                found[f"studio_{head}"] = top1(logits[head], rows[head])
        if name == "people":
            chosen = [samples[i] for i in places]
            found.update(_of_people(logits, rows, chosen, words))
    wanted = ("people_type", "people_mean", "people_kids", "street_type", "studio_type")
    found["chosen_by"] = float(np.mean([found[name] for name in wanted]))
    return {name: round(value, 4) for name, value in found.items()}


def _of_people(
    logits: dict[str, Tensor], rows: dict[str, Tensor], chosen: list[Sample], words: Words
) -> dict[str, float]:
    """Return scores of people's photos.

    Mean over labels, children, adults, and photos called empty.
    """
    best = logits["type"].argmax(dim=1)
    right = rows["type"].gather(1, best[:, None])[:, 0].tolist()
    by_label: dict[str, list[bool]] = defaultdict(list)
    for sample, hit in zip(chosen, right, strict=True):
        if sample.types:
            by_label[sample.label].append(hit)
    children = torch.tensor([w in ("boys", "girls", "baby") for w in words.gender])
    share = (logits["gender"].softmax(1) * children).sum(dim=1)
    kids = torch.tensor(["baby" in sample.wearers for sample in chosen])
    empty = best == words.type.index(NOTHING)
    return {
        "people_mean": float(np.mean([np.mean(hits) for hits in by_label.values()])),
        "people_kids": float((share[kids] > 0.5).float().mean()),
        "people_adults": float((share[~kids] < 0.5).float().mean()),
        "people_empty": float(empty.float().mean()),
        **{f"label_{label}": float(np.mean(hits)) for label, hits in sorted(by_label.items())},
    }
