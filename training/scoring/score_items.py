"""Score the items of held-out street photos with masks, and count those of people's photos.

An item is found if its box overlaps an annotated garment of the same kind with an IoU of at least
`ENOUGH`. An item is right if its word is also true of the garment's tag.

Examples:
    python -m training.scoring.score_items photos
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.vision.geometry.items import LEAST_AREA, LEAST_SMALL, SMALL, box_of
from agents.vision.networks.model import GarmentModel
from agents.vision.networks.parts import PARTS
from agents.vision.text.garments import any_true
from agents.vision.text.items import KINDS, Described, described_items, is_of
from training.photos.data import data_folder, read_archive
from training.photos.parts import part_of_tag
from training.photos.real_data import PEOPLE, people_sample, rows_of, street_labels, street_photos
from training.photos.real_labels import STREET_TAGS, photo_is_held_out

ENOUGH, MOST_PEOPLE = 0.5, 260
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Truth:
    """An annotated garment: its kind, its box, and the types that its tag can mean."""

    part: str
    box: Box
    types: tuple[str, ...]


def truths(mask: NDArray[np.uint8], labels: Sequence[str]) -> list[Truth]:
    """Return the garments of a street mask (h, w) that are large enough."""
    found = []
    for number, tag in enumerate(labels):
        part, place = PARTS[part_of_tag(tag)], mask == number
        least = LEAST_SMALL if part in SMALL else LEAST_AREA
        if part in KINDS and tag in STREET_TAGS and place.mean() >= least:
            found.append(Truth(part, box_of(place), STREET_TAGS[tag]))
    return found


def overlap(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes."""
    wide = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    high = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * high / (sum(areas) - wide * high)


def matches(items: Sequence[Described], true: Sequence[Truth]) -> Iterator[tuple[Described, Truth]]:
    """Yield the found items, each with its garment. Each garment is found at most once."""
    left = list(true)
    for item in items:
        able = [each for each in left if is_of(item.type, each.part)]
        best = max(able, key=lambda each: overlap(item.box, each.box), default=None)
        if best is not None and overlap(item.box, best.box) >= ENOUGH:
            left.remove(best)
            yield item, best


def score(model: GarmentModel, data: Path) -> dict[str, float]:
    """Return the scores as shares in 0-1."""
    labels, listed, annotated, found, right = street_labels(data), 0, 0, 0, 0
    for member, image, mask, _ in street_photos(data):
        if mask is None or not photo_is_held_out(member):
            continue
        items, true = described_items(model.predict([image])[0]), truths(mask, labels)
        pairs = list(matches(items, true))
        listed, annotated, found = listed + len(items), annotated + len(true), found + len(pairs)
        right += sum(any_true(garment.types, item.type) for item, garment in pairs)
    counts: list[int] = []
    rows = rows_of(data, PEOPLE)
    for member, image in read_archive(data / f"{PEOPLE}.tar"):
        sample = people_sample(rows[member])
        if not sample.trained and sample.types and len(counts) < MOST_PEOPLE:
            counts.append(len(described_items(model.predict([image])[0])))
    return {
        "precision": found / max(listed, 1), "recall": found / max(annotated, 1),
        "right_precision": right / max(listed, 1), "right_recall": right / max(annotated, 1),
        "people_with_one_item": counts.count(1) / max(len(counts), 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", metavar="DIR", type=Path, nargs="?", help="default: LOOKSTREAM_DATA"
    )
    given = parser.parse_args()
    found = score(GarmentModel.load(), data_folder(given.folder))
    print(json.dumps({name: round(value, 4) for name, value in found.items()}))


if __name__ == "__main__":
    main()
