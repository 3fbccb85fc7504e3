"""Decode the real-world photos once: people's photos, street photos, photos without a garment.

Every example is ``SIZE`` x ``SIZE`` RGBA bytes; the aspect ratio is not kept. Alpha is the mask of
the garment: from the shipped mask network on people's photos, from the annotators on garments cut
from street photos, and 255 on other real-world examples. Studio photos come from
`training.photos.data`. Examples without a garment are groceries and waste, parts of people's photos
beside the garment, and parts of street photos.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from torch.nn import functional as F

from agents.vision.networks.garment_net import HEADS
from agents.vision.networks.weights import SHIPPED, Parts, parts_of
from training.photos.cutouts import soft_alpha
from training.photos.data import CATALOGUES, SIZE, Photos, load_photos, read_archive
from training.photos.real_labels import (
    MAIN_TAGS,
    PEOPLE_LABELS,
    PEOPLE_NECKLINES,
    PEOPLE_SLEEVES,
    STREET_TAGS,
    narrowed,
    no_garment,
    photo_is_held_out,
    sender_is_held_out,
    shop_wearer,
    tag_types,
    wearers_of,
)

PEOPLE, STREET, NOT_GARMENTS = "people", "street", "not-garments"
MASK_INPUT, LEAST_MAIN, LEAST_SMALL, MARGIN = 128, 0.006, 0.003, 0.12
ROOM_TRIES, ROOM_SIDES, ROOM_MASK = 24, (0.26, 0.5), 40
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """One example. At least one of `types` and one of `wearers` is true; empty means unknown.

    ``source`` is "studio", "people", "street" (whole outfits), "worn" (garments cut from street
    photos) or "nothing". ``unseen``: the shipped weights were not trained on the photo. The value
    is computed for studio and people's photos and is true for all others. ``for_scoring``: the
    photo is in the old validation split.
    """

    source: str
    archive: str
    member: str
    types: tuple[str, ...]
    wearers: tuple[str, ...] = ()
    colour: str | None = None
    pattern: str | None = None
    sleeve: str | None = None
    neckline: str | None = None
    label: str = ""
    held_out: bool = False
    unseen: bool = True
    for_scoring: bool = False

    def words(self, head: str) -> tuple[str, ...]:
        """The words of a head that may be true."""
        if head == "type":
            return self.types
        if head == "gender":
            return self.wearers
        word = getattr(self, head)
        return (word,) if word else ()

    @property
    def trained(self) -> bool:
        return not (self.held_out or self.for_scoring)


@dataclass(frozen=True)
class RealPhotos:
    """Samples, and their pixels in the same order: consecutive parts (n, SIZE, SIZE, 4)."""

    samples: tuple[Sample, ...]
    parts: tuple[Pixels, ...]

    def pixels(self, places: Sequence[int] | NDArray[np.intp]) -> Pixels:
        """A copy of the photos at these places, (n, SIZE, SIZE, 4)."""
        starts = np.cumsum([0, *(len(part) for part in self.parts)])
        found = np.empty((len(places), SIZE, SIZE, 4), np.uint8)
        for row, place in enumerate(places):
            part = int(np.searchsorted(starts, place, "right")) - 1
            found[row] = self.parts[part][place - starts[part]]
        return found


def load_real(data: Path, cache: Path, catalogues: bool = True) -> RealPhotos:
    """All samples. The first call decodes the photos into ``cache``."""
    samples: list[Sample] = []
    parts: list[Pixels] = []
    for archive in CATALOGUES if catalogues else ():
        photos = load_photos(data, cache, [archive])
        samples.extend(studio_samples(photos))
        parts.append(photos.pixels)
    for make in (people_samples, street_samples, nothing_samples):
        listed, pixels = _kept(data, cache, make)
        samples.extend(listed)
        parts.append(pixels)
    return RealPhotos(tuple(samples), tuple(parts))


def studio_samples(photos: Photos) -> list[Sample]:
    """The catalogue's examples, with types that the titles narrow."""
    found = []
    for e in photos.examples:
        wearer = shop_wearer(e.gender, e.title)
        types = narrowed(e.types[0] if e.types else None, e.title)
        found.append(
            Sample(
                "studio", e.archive, e.member, types, (wearer,) if wearer else (),
                e.colour, e.pattern, e.sleeve, e.neckline, e.types[0] if e.types else "",
                held_out=e.held_out, unseen=e.held_out,
            )
        )  # fmt: skip
    return found


def _kept(data: Path, cache: Path, make: Any) -> tuple[list[Sample], Pixels]:
    name = f"{make.__name__}-{SIZE}"
    path, listing = cache / f"{name}.npy", cache / f"{name}.json"
    if not listing.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        pairs = list(make(data))
        np.save(path, np.stack([pixels for _, pixels in pairs]))
        listing.write_text(json.dumps([asdict(sample) for sample, _ in pairs]))
    kept = [_sample(row) for row in json.loads(listing.read_text())]
    loaded: Pixels = np.load(path, mmap_mode="r")
    return kept, loaded


def _sample(row: dict[str, Any]) -> Sample:
    lists = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
    return Sample(**{**row, **lists})


def rows_of(data: Path, archive: str) -> dict[str, dict[str, str]]:
    """The rows of a table by file name."""
    with (data / f"{archive}.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def people_sample(row: dict[str, str]) -> Sample:
    """The sample of a row of people.csv."""
    label, kids = row["label"], row["kids"] == "True"
    return Sample(
        "people", PEOPLE, row["file"], PEOPLE_LABELS.get(label, ()), wearers_of(label, kids),
        sleeve=PEOPLE_SLEEVES.get(label), neckline=PEOPLE_NECKLINES.get(label), label=label,
        held_out=sender_is_held_out(row["sender_id"]), unseen=row["split"] != "train",
        for_scoring=row["split"] == "validation",
    )  # fmt: skip


def people_samples(data: Path) -> Iterator[tuple[Sample, Pixels]]:
    """People's photos. Alpha is the mask of the shipped mask network."""
    rows, network = rows_of(data, PEOPLE), shipped()
    for member, image in read_archive(data / f"{PEOPLE}.tar"):
        rgb = squashed(image)
        yield people_sample(rows[member]), np.dstack([rgb, soft_mask(network, rgb)])


def shipped() -> Parts:
    """The networks of the shipped weights file."""
    with safe_open(SHIPPED, framework="pt") as file:
        metadata = file.metadata()
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    words = {head: json.loads(metadata[head]) for head in HEADS}
    return parts_of(state, words, len(json.loads(metadata["title"])))


@torch.inference_mode()
def soft_mask(network: Parts, rgb: Pixels) -> Pixels:
    """The mask of a photo (SIZE, SIZE, 3) as (SIZE, SIZE) bytes, by the shipped mask network."""
    planes = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    photo = F.interpolate(planes, (MASK_INPUT, MASK_INPUT), mode="bilinear", antialias=True)
    mask = network.mask(network.net.encoder(photo)[0], photo).sigmoid()
    large = F.interpolate(mask, (SIZE, SIZE), mode="bilinear")[0, 0]
    sharper = ((large - 0.5) * 3 + 0.5).clamp(0, 1)
    return np.asarray((sharper * 255).round().numpy(), np.uint8)


def squashed(image: Image.Image) -> Pixels:
    """A photo as (SIZE, SIZE, 3) bytes."""
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.uint8)


def street_photos(data: Path) -> Iterator[tuple[str, Image.Image, Pixels | None, list[str]]]:
    """File name, photo (RGB), mask of label numbers or None, and tags of each street photo."""
    rows = rows_of(data, STREET)
    with tarfile.open(data / f"{STREET}.tar") as tar:
        names = set(tar.getnames())
        for member, row in rows.items():
            image = Image.open(io.BytesIO(_read(tar, member))).convert("RGB")
            mask: Pixels | None = None
            if row["mask"] in names:
                mask = np.asarray(Image.open(io.BytesIO(_read(tar, row["mask"]))), np.uint8)
            yield member, image, mask, [tag for tag in row["tags"].split("|") if tag]


def _read(tar: tarfile.TarFile, member: str) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # noqa: S101 - tables list only files
    return file.read()


def street_labels(data: Path) -> list[str]:
    """The labels of street masks; the index is the number in the mask."""
    return (data / "street-labels.txt").read_text().split()


def street_samples(data: Path) -> Iterator[tuple[Sample, Pixels]]:
    """Whole outfits, and each large enough garment of the outfits with a mask."""
    labels = street_labels(data)
    for member, image, mask, tags in street_photos(data):
        held_out = photo_is_held_out(member)
        main = main_tags(mask, labels, tags)
        rgb = squashed(image)
        opaque = np.full((SIZE, SIZE, 1), 255, np.uint8)
        yield (
            Sample("street", STREET, member, tag_types(main), ("men", "women", "unisex"),
                   label="|".join(tags), held_out=held_out),
            np.dstack([rgb, opaque]),
        )  # fmt: skip
        if mask is None:
            continue
        for number, tag in enumerate(labels):
            if tag in STREET_TAGS and (mask == number).mean() >= (
                LEAST_MAIN if tag in MAIN_TAGS else LEAST_SMALL
            ):
                yield (
                    Sample("worn", STREET, member, STREET_TAGS[tag], (), label=tag,
                           held_out=held_out),
                    _garment(image, mask == number),
                )  # fmt: skip


def main_tags(mask: Pixels | None, labels: Sequence[str], tags: Sequence[str]) -> list[str]:
    """The tag of the largest garment of `MAIN_TAGS` in the mask.

    Without a mask, or if the mask has no such garment: every tag of `MAIN_TAGS`.
    """
    able = [tag for tag in tags if tag in MAIN_TAGS]
    if mask is None:
        return able
    areas = {tag: int((mask == number).sum()) for number, tag in enumerate(labels)
             if tag in MAIN_TAGS}  # fmt: skip
    best = max(areas, key=lambda tag: areas[tag])
    return [best] if areas[best] else able


def _garment(image: Image.Image, mask: NDArray[np.bool_]) -> Pixels:
    """The part of a photo around a garment, (SIZE, SIZE, 4). Alpha is the garment's mask."""
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    down, across = int((bottom - top) * MARGIN), int((right - left) * MARGIN)
    box = (max(left - across, 0), max(top - down, 0), min(right + across, width),
           min(bottom + down, height))  # fmt: skip
    cut = mask[box[1] : box[3], box[0] : box[2]]
    whole = image.resize((width, height)) if image.size != (width, height) else image
    return np.dstack([squashed(whole.crop(box)), soft_alpha(cut, SIZE)])


def nothing_samples(data: Path) -> Iterator[tuple[Sample, Pixels]]:
    """Groceries and waste, and garment-free parts of people's photos and of street photos."""
    rng = np.random.default_rng(5)
    for member, image in read_archive(data / f"{NOT_GARMENTS}.tar"):
        yield _nothing(NOT_GARMENTS, member, image, photo_is_held_out(member))
    rows, network = rows_of(data, PEOPLE), shipped()
    for member, image in read_archive(data / f"{PEOPLE}.tar"):
        mask = soft_mask(network, squashed(image))
        sample = people_sample(rows[member])
        if (piece := _piece_beside(image, mask > ROOM_MASK, rng)) is not None:
            yield _nothing(PEOPLE, member, piece, not sample.trained)
    for member, image, street_mask, _ in street_photos(data):
        if street_mask is None:
            continue
        shown = cv2.resize((street_mask > 0).astype(np.uint8), (SIZE, SIZE))
        if (piece := _piece_beside(image, shown > 0, rng)) is not None:
            yield _nothing(STREET, member, piece, photo_is_held_out(member))


def _nothing(
    archive: str, member: str, image: Image.Image, held_out: bool
) -> tuple[Sample, Pixels]:
    opaque = np.full((SIZE, SIZE, 1), 255, np.uint8)
    sample = Sample("nothing", archive, member, no_garment(), held_out=held_out)
    return sample, np.dstack([squashed(image), opaque])


def _piece_beside(
    image: Image.Image, mask: NDArray[np.bool_], rng: np.random.Generator
) -> Image.Image | None:
    """A random part of a photo outside the mask; None if no try finds one.

    ``mask`` is square and covers the whole photo, at any aspect ratio of the photo.
    """
    for _ in range(ROOM_TRIES):
        wide, high = rng.uniform(*ROOM_SIDES, 2)
        left, top = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - high)
        box = [left, top, left + wide, top + high]
        x0, y0, x1, y1 = (round(side * len(mask)) for side in box)
        if not mask[y0:y1, x0:x1].any():
            scale = (image.width, image.height) * 2
            return image.crop(tuple(round(s * n) for s, n in zip(box, scale, strict=True)))
    return None
