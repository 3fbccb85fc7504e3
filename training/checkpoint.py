"""The trained garment network as the other trainings use it: ready, and never changed again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from agents.vision.network import HEADS, GarmentNet


@dataclass(frozen=True)
class Checkpoint:
    """What `training.train` wrote: the network fused for inference, and its metadata."""

    net: GarmentNet
    size: int
    temperatures: dict[str, float]

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        net = GarmentNet({head: len(json.loads(metadata[head])) for head in HEADS})
        net.load_state_dict(state)
        net.eval().requires_grad_(False)
        net.encoder.fuse()
        net.to(memory_format=torch.channels_last)
        return cls(net, int(metadata["input"]), json.loads(metadata["temperature"]))
