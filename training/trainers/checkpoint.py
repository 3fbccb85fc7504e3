"""Load trained networks from files, frozen, as the inputs of other trainings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from agents.vision.networks.blend import Blend
from agents.vision.networks.garment_net import HEADS, GarmentNet
from agents.vision.networks.residual import ResidualNet
from training.photos.data import Words


@dataclass(frozen=True)
class Checkpoint:
    """The result of `training.trainers.train`.

    The network, fused for inference, and its metadata.
    """

    net: GarmentNet
    size: int
    words: Words

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        words = words_of_file(path)
        net = GarmentNet(sizes_of(words))
        net.load_state_dict(floats_of(path))
        net.eval().requires_grad_(False)
        net.encoder.fuse()
        net.to(memory_format=torch.channels_last)
        return cls(net, int(metadata["input"]), words)


@dataclass(frozen=True)
class Opinions:
    """Both networks, and the blend of their logits that `training.calibration.blend` chose."""

    first: Checkpoint
    second: ResidualNet
    blend: Blend

    @classmethod
    def load(cls, net: Path, second: Path) -> Opinions:
        with safe_open(second, framework="pt") as file:
            blend = Blend.of_json(file.metadata()["blend"])
        return cls(Checkpoint.load(net), second_opinion(second), blend)


def second_opinion(path: Path) -> ResidualNet:
    """Return the second network of a file, fused for inference."""
    net = ResidualNet(sizes_of(words_of_file(path)))
    net.load_state_dict(floats_of(path))
    net.eval().requires_grad_(False)
    net.fuse()
    return net.to(memory_format=torch.channels_last)


def words_of_file(path: Path) -> Words:
    """Return the vocabularies of a network's file."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    return Words(**{head: tuple(json.loads(metadata[head])) for head in HEADS})


def sizes_of(words: Words) -> dict[str, int]:
    """Return the number of words of each head."""
    return {head: len(getattr(words, head)) for head in HEADS}


def floats_of(path: Path) -> dict[str, Tensor]:
    """Return the file's tensors in single precision."""
    return {key: tensor.float() for key, tensor in load_file(path).items()}
