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

from agents.vision.geometry.items import garment_regions
from agents.vision.images.garment_colour import Named, measured_colours
from agents.vision.networks.blend import Blend
from agents.vision.networks.colour_evidence import Joint, garment_alone, measured_table, on_white
from agents.vision.networks.garment_net import HEADS
from agents.vision.networks.parts import PARTS
from agents.vision.networks.prediction import Found, Prediction, Ranking, SoftMask, ranking
from agents.vision.networks.title import Seen
from agents.vision.networks.weights import SHIPPED, Parts, facts, parts_of, places
from agents.vision.text.items import main_first
from agents.vision.text.naming import PRECISION, Thresholds
from agents.vision.text.titles import Title, beam_search

BATCH = 32
ITEMS_STRIDE = 2
"""Garments are separated at this fraction of the input's size."""
OLD_DECODED = "144"
"""The side length of photos in training, for weights files that do not name it."""


@dataclass(frozen=True)
class Card:
    """The metadata of a weights file.

    Photos are first resized to ``decoded`` pixels, then to ``input_size`` pixels, as in training.
    ``joint`` is None in files that were trained without it.
    """

    name: str
    decoded: int
    input_size: int
    vocabularies: Mapping[str, tuple[str, ...]]
    blend: Blend
    title_words: tuple[str, ...]
    colour_places: Named
    joint: Joint | None
    thresholds: Thresholds


class GarmentModel:
    """The trained networks with their vocabularies. Thread-safe.

    Torch's thread count stays as the caller set it. Photos are resized to a square without keeping
    the aspect ratio, as in training. Transparency becomes white.
    """

    def __init__(self, parts: Parts, card: Card, model_id: str) -> None:
        self.model_id = model_id
        self.vocabularies = card.vocabularies
        self.input_size = card.input_size
        self._card = card
        self._parts = parts

    @classmethod
    def load(cls, path: Path | None = None, precision: float = PRECISION) -> GarmentModel:
        """Load the model from a safetensors file; without a name, the shipped file.

        ``precision`` selects the thresholds: those of the lowest precision in the file that is not
        below ``precision``. Raises FileNotFoundError, and ValueError if the file is no garment
        model.
        """
        path = path or SHIPPED
        version = _version(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        try:
            metadata, state = _read(path)
            card = _card(metadata, precision)
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
            decoded = self._card.decoded
            photos = torch.stack(
                [_pixels(image, decoded) for image in images[start : start + BATCH]]
            )
            size = (self.input_size, self.input_size)
            with torch.inference_mode():
                photos = F.interpolate(photos, size, mode="bilinear", antialias=True)
                found.extend(self._predicted(photos.contiguous(memory_format=torch.channels_last)))
        return found

    def _predicted(self, photos: Tensor) -> list[Prediction]:
        """Run the encoder once for all decoders, and the second network; again for colours."""
        parts = self._parts
        levels, top = parts.net.encoder(photos)
        logits, second = parts.net.logits(levels, top, photos), parts.second(photos)
        shares = self._card.blend.probabilities(logits, second)
        soft = parts.mask(levels, photos).sigmoid()
        masks = (soft[:, 0] * 255).round().to(torch.uint8)
        measured = [
            measured_colours(
                photo.permute(1, 2, 0).numpy(), mask.numpy() > 127, self._card.colour_places
            )
            for photo, mask in zip(photos, masks, strict=True)
        ]
        items = self._items(photos, soft, parts.parts(levels))
        vectors = F.normalize(parts.embed(top), dim=1).half()
        seen = Seen(places(levels), facts(shares))
        titles = beam_search(parts.title, self._card.title_words, seen)
        if self._card.joint:
            rest = torch.nonzero(~on_white(photos, soft))[:, 0].tolist()
            if rest:
                whole = logits["colour"].lerp(second["colour"], self._card.blend.shares["colour"])
                shares["colour"][rest] = self._colours(
                    photos[rest], soft[rest], whole[rest], [measured[place] for place in rest]
                )
        rows = {head: share.double().tolist() for head, share in shares.items()}
        return [
            self._prediction(
                rows,
                index,
                titles[index],
                measured[index],
                masks[index],
                vectors[index],
                items[index],
            )
            for index in range(len(photos))
        ]

    def _prediction(
        self, rows: Mapping[str, list[list[float]]], index: int, titles: tuple[Title, ...],
        measured: Ranking, mask: Tensor, vector: Tensor, items: tuple[Found, ...],
    ) -> Prediction:  # fmt: skip
        ranked = {head: ranking(self.vocabularies[head], rows[head][index]) for head in HEADS}
        found = Prediction(
            types=ranked["type"],
            colours=ranked["colour"],
            genders=ranked["gender"],
            patterns=ranked["pattern"],
            sleeves=ranked["sleeve"],
            necklines=ranked["neckline"],
            titles=titles,
            measured=measured,
            mask=SoftMask(self.input_size, mask.numpy().tobytes()),
            embedding=tuple(vector.tolist()),
            thresholds=self._card.thresholds,
            items=items,
        )
        return main_first(found)

    def _items(self, photos: Tensor, soft: Tensor, logits: Tensor) -> list[tuple[Found, ...]]:
        """Return the garments of each photo, from the parts network's logits (n, 13, h/8, w/8)."""
        size = [side // ITEMS_STRIDE for side in photos.shape[2:]]
        shares = F.interpolate(logits, size, mode="bilinear").softmax(1).numpy()
        masks = F.interpolate(soft, size, mode="area")[:, 0].numpy() > 0.5
        small = F.interpolate(photos, size, mode="area").permute(0, 2, 3, 1).numpy()
        return [
            tuple(
                Found(
                    region.part, region.confidence, region.box,
                    measured_colours(photo, region.mask, self._card.colour_places, step=1),
                )
                for region in garment_regions(PARTS, share, mask)
            )
            for photo, share, mask in zip(small, shares, masks, strict=True)
        ]  # fmt: skip

    def _colours(
        self, photos: Tensor, masks: Tensor, whole: Tensor, measured: Sequence[Ranking]
    ) -> Tensor:
        """Return the colours' probabilities (n, words) from all evidence."""
        joint, parts = self._card.joint, self._parts
        assert joint is not None  # noqa: S101 - the caller checks
        alone = garment_alone(photos, masks).contiguous(memory_format=torch.channels_last)
        levels, top = parts.net.encoder(alone)
        first = parts.net.logits(levels, top, alone, ["colour"])["colour"]
        both = first.lerp(parts.second(alone)["colour"], self._card.blend.shares["colour"])
        table = measured_table(measured, self.vocabularies["colour"])
        return joint.logits(whole, both, table).softmax(1)


def _pixels(image: Image.Image, side: int) -> Tensor:
    """Return the image as in training: (3, ``side``, ``side``) in 0-1."""
    small = opaque(image).resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
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


def _card(metadata: Mapping[str, str], precision: float) -> Card:
    blend = Blend.of_json(metadata["blend"])
    if not {*HEADS} == {*blend.shares} == {*blend.temperatures}:
        raise ValueError("its blend is not of our heads")
    vocabularies = {head: tuple(json.loads(metadata[head])) for head in HEADS}
    joint = metadata.get("joint")
    return Card(
        name=metadata["name"],
        decoded=int(metadata.get("decoded", OLD_DECODED)),
        input_size=int(metadata["input"]),
        vocabularies=vocabularies,
        blend=blend,
        title_words=tuple(json.loads(metadata["title"])),
        colour_places={w: tuple(at) for w, at in json.loads(metadata["lab"]).items()},
        joint=Joint.of_json(joint, vocabularies["colour"]) if joint else None,
        thresholds=_thresholds(json.loads(metadata.get("thresholds", "{}")), precision),
    )


def _thresholds(by_precision: Mapping[str, Mapping[str, float]], precision: float) -> Thresholds:
    """Return the thresholds of the lowest listed precision that is not below ``precision``.

    Without such a precision, the highest listed one is used; without a list, the defaults.
    """
    if not by_precision:
        return Thresholds()
    listed = sorted(by_precision, key=float)
    chosen = next((name for name in listed if float(name) >= precision), listed[-1])
    return Thresholds(**by_precision[chosen])


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
