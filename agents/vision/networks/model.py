"""Predict attributes, titles, a mask and an embedding of a photo with the shipped networks."""

from __future__ import annotations

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
from torch.nn import functional as F

from agents.vision.images.garment_colour import Named, measured_colours
from agents.vision.networks.blend import Blend
from agents.vision.networks.garment_net import HEADS
from agents.vision.networks.prediction import Prediction, SoftMask, ranking
from agents.vision.networks.title import Seen
from agents.vision.networks.weights import DECODED, SHIPPED, Parts, facts, parts_of, places
from agents.vision.text.titles import Title, beam_search

BATCH = 32


@dataclass(frozen=True)
class Card:
    """The metadata of a weights file."""

    name: str
    input_size: int
    vocabularies: Mapping[str, tuple[str, ...]]
    blend: Blend
    title_words: tuple[str, ...]
    colour_places: Named


class GarmentModel:
    """The trained networks with their vocabularies. Thread-safe.

    Torch's thread count stays as the caller set it. Photos are resized to a square of `input_size`
    pixels without keeping the aspect ratio, over `DECODED` pixels as in training. Transparency
    becomes white.
    """

    def __init__(self, parts: Parts, card: Card, model_id: str) -> None:
        self.model_id = model_id
        self.vocabularies = card.vocabularies
        self.input_size = card.input_size
        self._card = card
        self._parts = parts

    @classmethod
    def load(cls, path: Path | None = None) -> GarmentModel:
        """Load the model from a safetensors file; without a name, the shipped file.

        Raises FileNotFoundError, and ValueError if the file is no garment model.
        """
        path = path or SHIPPED
        version = _version(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        try:
            metadata, state = _read(path)
            card = _card(metadata)
            parts = parts_of(state, card.vocabularies, len(card.title_words))
            if _version(path) != version:
                raise ValueError("the file is being replaced")
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise ValueError(f"{path.name} is not a garment model: {error}") from error
        return cls(parts, card, f"{card.name}@{digest[:8]}")

    def predict(self, images: Sequence[Image.Image]) -> list[Prediction]:
        """Return one prediction per image, in order. Images may differ in size and mode."""
        found: list[Prediction] = []
        for start in range(0, len(images), BATCH):
            photos = torch.stack([_pixels(image) for image in images[start : start + BATCH]])
            size = (self.input_size, self.input_size)
            with torch.inference_mode():
                photos = F.interpolate(photos, size, mode="bilinear", antialias=True)
                found.extend(self._predicted(photos.contiguous(memory_format=torch.channels_last)))
        return found

    def _predicted(self, photos: Tensor) -> list[Prediction]:
        """Run the encoder once for all decoders, and the second network."""
        parts = self._parts
        levels, top = parts.net.encoder(photos)
        logits = parts.net.logits(levels, top, photos)
        shares = self._card.blend.probabilities(logits, parts.second(photos))
        masks = (parts.mask(levels, photos).sigmoid()[:, 0] * 255).round().to(torch.uint8)
        vectors = F.normalize(parts.embed(top), dim=1).half()
        seen = Seen(places(levels), facts(shares))
        titles = beam_search(parts.title, self._card.title_words, seen)
        rows = {head: share.double().tolist() for head, share in shares.items()}
        return [
            self._prediction(
                rows, index, titles[index], photos[index], masks[index], vectors[index]
            )
            for index in range(len(photos))
        ]

    def _prediction(
        self, rows: Mapping[str, list[list[float]]], index: int, titles: tuple[Title, ...],
        photo: Tensor, mask: Tensor, vector: Tensor,
    ) -> Prediction:  # fmt: skip
        ranked = {head: ranking(self.vocabularies[head], rows[head][index]) for head in HEADS}
        return Prediction(
            types=ranked["type"],
            colours=ranked["colour"],
            genders=ranked["gender"],
            patterns=ranked["pattern"],
            sleeves=ranked["sleeve"],
            necklines=ranked["neckline"],
            titles=titles,
            measured=measured_colours(
                photo.permute(1, 2, 0).numpy(), mask.numpy() > 127, self._card.colour_places
            ),
            mask=SoftMask(self.input_size, mask.numpy().tobytes()),
            embedding=tuple(vector.tolist()),
        )


def _pixels(image: Image.Image) -> Tensor:
    """Return the image as in training: (3, `DECODED`, `DECODED`) in 0-1."""
    small = opaque(image).resize((DECODED, DECODED), Image.Resampling.BILINEAR, reducing_gap=2.0)
    array = np.asarray(small, dtype=np.float32) / 255.0
    return torch.from_numpy(array).permute(2, 0, 1)


def opaque(image: Image.Image) -> Image.Image:
    """Return the image as RGB; transparency becomes white."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _card(metadata: Mapping[str, str]) -> Card:
    blend = Blend.of_json(metadata["blend"])
    if not {*HEADS} == {*blend.shares} == {*blend.temperatures}:
        raise ValueError("its blend is not of our heads")
    return Card(
        name=metadata["name"],
        input_size=int(metadata["input"]),
        vocabularies={head: tuple(json.loads(metadata[head])) for head in HEADS},
        blend=blend,
        title_words=tuple(json.loads(metadata["title"])),
        colour_places={w: tuple(at) for w, at in json.loads(metadata["lab"]).items()},
    )


def _version(path: Path) -> tuple[int, int, int]:
    """Return a value that changes when the file is written or replaced."""
    now = path.stat()
    return now.st_ino, now.st_size, now.st_mtime_ns


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return a file's metadata and memory-mapped tensors."""
    with safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    return metadata, state
