"""Scores landmarks on garments that were marked by eye, with masks made as the product makes them.

A marked point counts where the point of that name lies within 8 % of the marked box's diagonal, in
pixels. One that is not found is a miss, and so is every point of a photo without a mask. Every
other photo, in the order of their files' names, is what the geometry was tuned on.

Examples:
    python -m training.score_landmarks --data photos
    LOOKSTREAM_DATA=photos python -m training.score_landmarks --kind none --misses
"""

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agents.vision.garment_mask import find_garment
from agents.vision.kinds import Kind, kind_of, likeliest_kind
from agents.vision.landmarks import LandmarkFinder, Landmarks
from agents.vision.model import GarmentModel
from agents.vision.outline import Mask
from training.data import VALIDATION_PHOTOS, data_folder, read_archive

MARKS = Path(__file__).parent / "marks" / f"{VALIDATION_PHOTOS}.json"
WITHIN = 0.08
KNOWN = ("seen", "true", "none")


@dataclass(frozen=True)
class Marked:
    """One photo's marks: `box` is left, top, right, bottom; all in 0-1 of the photo."""

    file: str
    label: str
    box: tuple[float, float, float, float]
    points: Mapping[str, tuple[float, float]]

    @property
    def kind(self) -> Kind:
        return kind_of(self.label)


@dataclass
class Tally:
    """Marked points, those found at all, those found where they are, and points nobody marked."""

    marked: int = 0
    found: int = 0
    within: int = 0
    not_marked: int = 0
    misses: list[str] = field(default_factory=list)

    def shares(self) -> dict[str, float]:
        marked = max(self.marked, 1)
        return {
            "within": round(self.within / marked, 4),
            "found": round(self.found / marked, 4),
            "marked": self.marked,
            "not_marked": self.not_marked,
        }


def read_marks(path: Path = MARKS) -> list[Marked]:
    """The marked photos in the order of their files' names."""
    photos = json.loads(path.read_text())["photos"]
    marks = [
        Marked(
            file=photo["file"],
            label=photo["label"],
            box=tuple(photo["box"]),
            points={name: (x, y) for name, (x, y) in photo["points"].items()},
        )
        for photo in photos
    ]
    return sorted(marks, key=lambda marked: marked.file)


def halves(marks: Sequence[Marked]) -> dict[str, Sequence[Marked]]:
    """The photos that the geometry was tuned on, and the others."""
    return {"tuned_on": marks[::2], "unseen": marks[1::2]}


def look(model: GarmentModel, photo: Image.Image) -> tuple[Mask | None, Kind | None]:
    """The garment's mask and kind as the pose stage gets them; None where it sees none."""
    (seen,) = model.predict([photo])
    garment = find_garment(np.asarray(photo), seen.mask) if seen.mask else None
    return garment.mask if garment else None, likeliest_kind(seen.types)


def look_at_all(
    model: GarmentModel, folder: Path, marks: Iterable[Marked]
) -> dict[str, tuple[Mask | None, Kind | None]]:
    """What is seen of the marked photos by file name, from the archive in `folder`."""
    wanted = {marked.file for marked in marks}
    archive = read_archive(folder / f"{VALIDATION_PHOTOS}.tar")
    return {file: look(model, photo) for file, photo in archive if file in wanted}


def score(
    finder: LandmarkFinder,
    masks: Mapping[str, Mask | None],
    marks: Sequence[Marked],
    kinds: Mapping[str, Kind | None],
) -> dict[str, Any]:
    """Shares within reach overall, by point and by class; `kinds` of files whose kind is known."""
    whole, points, classes = Tally(), dict[str, Tally](), dict[str, Tally]()
    names = {name for marked in marks for name in marked.points}
    for marked in marks:
        mask = masks.get(marked.file)
        found = None if mask is None else finder.find(mask, kinds.get(marked.file))
        for name in sorted(names):
            at = points.setdefault(name, Tally()), classes.setdefault(marked.label, Tally()), whole
            distance = _distance(marked, name, found, mask)
            for tally in at:
                _count(tally, marked, name, distance)
    return {
        "photos": len(marks),
        "all": whole.shares(),
        "by_point": {name: points[name].shares() for name in sorted(points)},
        "by_class": {label: classes[label].shares() for label in sorted(classes)},
        "misses": whole.misses,
    }


def _distance(
    marked: Marked, name: str, found: Landmarks | None, mask: Mask | None
) -> float | None:
    """How far off a point is, in diagonals; infinite if not marked, None if not found."""
    if found is None or mask is None or name not in found.points:
        return None
    if name not in marked.points:
        return math.inf
    height, width = mask.shape
    left, top, right, bottom = marked.box
    x, y = marked.points[name]
    off = math.hypot((found.points[name][0] - x) * width, (found.points[name][1] - y) * height)
    return off / math.hypot((right - left) * width, (bottom - top) * height)


def _count(tally: Tally, marked: Marked, name: str, distance: float | None) -> None:
    if name not in marked.points:
        tally.not_marked += distance is not None
        return
    tally.marked += 1
    tally.found += distance is not None
    if distance is not None and distance <= WITHIN:
        tally.within += 1
    else:
        off = "not found" if distance is None else f"off by {distance:.2f}"
        tally.misses.append(f"{marked.file} {marked.label} {name}: {off}")


def score_halves(
    finder: LandmarkFinder,
    masks: Mapping[str, Mask | None],
    marks: Sequence[Marked],
    kinds: Mapping[str, Kind | None],
) -> dict[str, Any]:
    """`score` of all photos, and the shares of either half."""
    parts = {name: score(finder, masks, half, kinds)["all"] for name, half in halves(marks).items()}
    return {**score(finder, masks, marks, kinds), "halves": parts}


def agreement(marks: Sequence[Marked], kinds: Mapping[str, Kind | None]) -> float:
    """How often a kind that was said is the true one."""
    said = [kind == m.kind for m in marks if (kind := kinds.get(m.file)) is not None]
    return sum(said) / max(len(said), 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="archives' folder; else LOOKSTREAM_DATA")
    parser.add_argument(
        "--kind", choices=KNOWN, nargs="*", default=KNOWN,
        help="tell the network the kind that the garment network saw, as the product does, each "
        "garment's true kind, or nothing (default: each in turn)",
    )  # fmt: skip
    parser.add_argument("--misses", action="store_true", help="also list every point missed")
    parser.add_argument("--weights", type=Path, help="landmark weights; else the shipped ones")
    parser.add_argument("--garment-weights", type=Path, help="for masks; else the shipped ones")
    given = parser.parse_args()
    marks, finder = read_marks(), LandmarkFinder.load(given.weights)
    model = GarmentModel.load(given.garment_weights)
    seen = look_at_all(model, data_folder(given.data), marks)
    masks = {file: mask for file, (mask, _) in seen.items()}
    kinds: dict[str, dict[str, Kind | None]] = {
        "seen": {file: kind for file, (_, kind) in seen.items()},
        "true": {marked.file: marked.kind for marked in marks},
        "none": {},
    }
    found: dict[str, Any] = {
        "without_mask": [m.file for m in marks if masks.get(m.file) is None],
        "kind_true_where_seen": round(agreement(marks, kinds["seen"]), 4),
    }
    for known in given.kind:
        found[f"kind_{known}"] = score_halves(finder, masks, marks, kinds[known])
        if not given.misses:
            del found[f"kind_{known}"]["misses"]
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
