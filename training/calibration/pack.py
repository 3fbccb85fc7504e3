"""Writes the trained networks and a newly fitted embedding into the one shipped file.

Examples:
    python -m training.calibration.pack --net net.safetensors --second second.safetensors \\
        --mask mask.safetensors --parts parts.safetensors --title title.safetensors \\
        --thresholds thresholds.json --colours colours.json \\
        --out agents/vision/weights/garment-3.safetensors
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from agents.vision.networks.weights import EMBEDDING
from training.calibration.colours import Place, colour_places
from training.photos.data import (
    CATALOGUES,
    SIZE,
    TRAIN_PHOTOS,
    data_folder,
    default_cache,
    load_photos,
)
from training.trainers.checkpoint import Checkpoint

NAME, SAMPLE = "garment-3", 4000
PARTS = ("net", "second", "mask", "title", "parts")


@torch.inference_mode()
def embedding_of(loaded: Checkpoint, data: Path, cache: Path) -> tuple[Tensor, Tensor]:
    """Return the weights (`EMBEDDING`, 1280) and the bias of the embedding.

    The rows are principal components of the encoder's output for a sample of all archives, each
    divided by the square root of its standard deviation. Division by the whole standard deviation
    would give weak components the same influence as strong ones.
    """
    photos = load_photos(data, cache, [*CATALOGUES, TRAIN_PHOTOS])
    chosen = np.random.default_rng(1).choice(len(photos.examples), SAMPLE, replace=False)
    tops = []
    for start in range(0, SAMPLE, 128):
        pixels = torch.from_numpy(photos.pixels[np.sort(chosen)[start : start + 128]])
        planes = pixels[..., :3].permute(0, 3, 1, 2).float() / 255
        size = (loaded.size, loaded.size)
        views = F.interpolate(planes, size=size, mode="bilinear", antialias=True)
        tops.append(loaded.net.encoder(views.contiguous(memory_format=torch.channels_last))[1])
    top = torch.cat(tops)
    mean = top.mean(dim=0)
    _, deviation, components = torch.linalg.svd(top - mean, full_matrices=False)
    scaled = components[:EMBEDDING] / (deviation[:EMBEDDING, None] / SAMPLE**0.5).sqrt()
    return scaled, -(scaled @ mean)


def colours_of(net: Path, data: Path, cache: Path) -> dict[str, Place]:
    """Return the CIELAB value of each of the network's colour words."""
    with safe_open(net, framework="pt") as file:
        words = tuple(json.loads(file.metadata()["colour"]))
    return colour_places(load_photos(data, cache, CATALOGUES), words)


def pack(
    parts: Mapping[str, Path],
    embed: tuple[Tensor, Tensor],
    places: Mapping[str, Place],
    out: Path,
    calibration: Mapping[str, Mapping[str, float]] | None = None,
    joint: Mapping[str, Any] | None = None,
) -> None:
    """Write one file. Its tensors are in half precision, prefixed by their network's name.

    ``calibration`` has the thresholds of each precision, ``joint`` the numbers of
    `agents.vision.networks.colour_evidence`.
    """
    state: dict[str, Tensor] = {"embed.weight": embed[0], "embed.bias": embed[1]}
    metadata = {"name": NAME, "decoded": str(SIZE), "lab": json.dumps(places)}
    if calibration:
        metadata["thresholds"] = json.dumps(calibration)
    if joint:
        metadata["joint"] = json.dumps(
            {name: joint[name] for name in ("sharpness", "measured", "bias")}
        )
    for part, path in parts.items():
        with safe_open(path, framework="pt") as file:
            metadata.update({k: v for k, v in (file.metadata() or {}).items() if k != "name"})
            state.update({f"{part}.{key}": file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    halved = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_file({k: v.contiguous() for k, v in halved.items()}, out, metadata)


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
    for part in PARTS:
        parser.add_argument(
            f"--{part}", type=Path, required=True, help=f"weights of the {part} network"
        )
    parser.add_argument("--thresholds", type=Path, help="written by training.calibration.calibrate")
    parser.add_argument("--colours", type=Path, help="written by training.calibration.tune_colours")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    given = parser.parse_args()
    data = data_folder(given.data)
    embed = embedding_of(Checkpoint.load(given.net), data, given.cache)
    places = colours_of(given.net, data, given.cache)
    paths = {part: getattr(given, part) for part in PARTS}
    joint = json.loads(given.colours.read_text()) if given.colours else None
    calibration = (
        json.loads(given.thresholds.read_text())["thresholds"] if given.thresholds else None
    )
    if calibration and joint:
        for precision, colour in joint["thresholds"].items():
            calibration[precision] |= {"colour": colour, "colour_sure": colour}
    pack(paths, embed, places, given.out, calibration, joint)


if __name__ == "__main__":
    main()
