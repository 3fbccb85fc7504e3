"""What a photo shows, by the shipped garment network: types, colours and genders with shares."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor

from agents.vision.network import HEADS, GarmentNet

SHIPPED = Path(__file__).parent / "weights" / "garment-net-1.safetensors"
BATCH = 32

Ranking = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Prediction:
    """What the network sees in one photo.

    Each field holds a whole vocabulary with calibrated probabilities, best first, that sum to at
    most 1; words of equal probability stand in alphabetical order.
    """

    types: Ranking
    colours: Ranking
    genders: Ranking


class GarmentModel:
    """The trained network with its vocabularies; one instance serves any number of threads.

    Torch's thread count is left as the caller set it. Photos are squashed to a square of
    `input_size` pixels whatever their shape, as in training; transparency is put on white.
    """

    def __init__(
        self,
        network: GarmentNet,
        vocabularies: Mapping[str, Sequence[str]],
        temperatures: Mapping[str, float],
        input_size: int,
        model_id: str,
    ) -> None:
        self.model_id = model_id
        self.vocabularies = {head: tuple(vocabularies[head]) for head in HEADS}
        self.input_size = input_size
        self._temperatures = {head: float(temperatures[head]) for head in HEADS}
        self._network = network.eval()

    @classmethod
    def load(cls, path: Path | None = None) -> "GarmentModel":
        """The model in a safetensors file, the shipped one where none is named.

        Raises FileNotFoundError where there is none, ValueError where it is not a garment model.
        """
        path = path or SHIPPED
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        try:
            metadata, state = _read(path)
            words = {head: json.loads(metadata[head]) for head in HEADS}
            temperatures = json.loads(metadata["temperature"])
            size, name = int(metadata["input"]), metadata["name"]
            network = GarmentNet({head: len(words[head]) for head in HEADS})
            network.load_state_dict(state)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise ValueError(f"{path.name} is not a garment model: {error}") from error
        network.eval().fuse()
        network.requires_grad_(False)
        network.to(memory_format=torch.channels_last)
        return cls(network, words, temperatures, size, f"{name}@{digest[:8]}")

    def predict(self, images: Sequence[Image.Image]) -> list[Prediction]:
        """One prediction for each image, in order; the images may differ in size and mode."""
        found: list[Prediction] = []
        for start in range(0, len(images), BATCH):
            batch = torch.stack([self._pixels(image) for image in images[start : start + BATCH]])
            with torch.inference_mode():
                logits = self._network(batch.contiguous(memory_format=torch.channels_last))
                shares = {head: self._shares(head, logits[head]) for head in HEADS}
            found.extend(self._prediction(shares, index) for index in range(len(batch)))
        return found

    def _pixels(self, image: Image.Image) -> Tensor:
        size = (self.input_size, self.input_size)
        small = opaque(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        array = np.asarray(small, dtype=np.float32) / 255.0
        return torch.from_numpy(array).permute(2, 0, 1)

    def _shares(self, head: str, logits: Tensor) -> list[list[float]]:
        scaled = logits.double() / self._temperatures[head]
        rows: list[list[float]] = scaled.softmax(dim=1).tolist()
        return rows

    def _prediction(self, shares: Mapping[str, list[list[float]]], index: int) -> Prediction:
        ranked = {head: ranking(self.vocabularies[head], shares[head][index]) for head in HEADS}
        return Prediction(ranked["type"], ranked["colour"], ranked["gender"])


def ranking(words: Sequence[str], shares: Sequence[float]) -> Ranking:
    """Words and their shares, the largest first, rounded down so that no sum exceeds 1."""
    floored = ((word, int(share * 1e6) / 1e6) for word, share in zip(words, shares, strict=True))
    return tuple(sorted(floored, key=lambda pair: (-pair[1], pair[0])))


def opaque(image: Image.Image) -> Image.Image:
    """The image as RGB, on white where it is transparent."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
        state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    return metadata, state
