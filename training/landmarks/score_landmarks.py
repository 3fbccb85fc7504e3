"""Score landmarks on garments marked by eye, with the masks that the product makes.

A marked point is a hit if the found point of the same name is within 8 % of the diagonal of the
marked box, measured in pixels. Other marked points are misses, also all points of a photo without a
mask. In the order of file names, every second photo, from the first, was used to tune the drawings.

Examples:
    python -m training.landmarks.score_landmarks --data photos
    LOOKSTREAM_DATA=photos python -m training.landmarks.score_landmarks --kind none --misses
"""

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agents.vision.geometry.garment_mask import find_garment
from agents.vision.geometry.landmarks import LandmarkFinder, Landmarks, Mask
from agents.vision.networks.model import GarmentModel
from agents.vision.text.kinds import Kind, kind_of, likeliest_kind
from training.photos.data import VALIDATION_PHOTOS, data_folder, read_archive

MARKS = Path(__file__).parents[1] / "marks" / f"{VALIDATION_PHOTOS}.json"
WITHIN = 0.08


@dataclass(frozen=True)
class Marked:
    """The marks of one photo. `box` is left, top, right, bottom. Coordinates are in 0-1."""

    file: str
    label: str
    box: tuple[float, float, float, float]
    points: Mapping[str, tuple[float, float]]

    @property
    def kind(self) -> Kind:
        return kind_of(self.label)


@dataclass
class Tally:
    """Counts of points.

    ``marked``: marked points. ``found``: marked points for which the finder gave a
    position. ``within``: hits. ``not_marked``: found points that only another photo marks.
    ``misses`` has one line for each miss.
    """

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
    """Return the marked photos in the order of file names."""
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
    """Return two halves: the photos used to tune the drawings, and the other photos."""
    return {"tuned_on": marks[::2], "unseen": marks[1::2]}


@dataclass(frozen=True)
class Sight:
    """The mask of the garment as in the pose stage, None without a garment, and the kind.

    `kind` is None if no kind is likely enough.
    """

    mask: Mask | None
    kind: Kind | None


def look_at(folder: Path, marks: Iterable[Marked]) -> dict[str, Sight]:
    """Return mask and kind of each marked photo by file name, from the archive in `folder`."""
    model, wanted = GarmentModel.load(), {marked.file for marked in marks}
    sights: dict[str, Sight] = {}
    for file, photo in read_archive(folder / f"{VALIDATION_PHOTOS}.tar"):
        if file in wanted:
            (seen,) = model.predict([photo])
            garment = find_garment(np.asarray(photo), seen.mask) if seen.mask else None
            mask = garment.mask if garment else None
            sights[file] = Sight(mask, likeliest_kind(seen.types))
    return sights


def score(
    finder: LandmarkFinder,
    masks: Mapping[str, Mask | None],
    marks: Sequence[Marked],
    kinds: Mapping[str, Kind],
) -> dict[str, Any]:
    """Return the shares of hits and of found points: overall, by point and by class.

    `kinds` has the kinds passed to the landmark network, by file name.
    """
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
    """Return the error of a point in diagonals; infinite if not marked, None if not found."""
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
    kinds: Mapping[str, Kind],
) -> dict[str, Any]:
    """Return `score` of all photos, and the overall shares of each half."""
    parts = {name: score(finder, masks, half, kinds)["all"] for name, half in halves(marks).items()}
    return {**score(finder, masks, marks, kinds), "halves": parts}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of archives; default: LOOKSTREAM_DATA")
    parser.add_argument(
        "--kind", choices=("seen", "true", "none"), default="seen",
        help="kind passed to the landmark network: the likeliest by the predicted types (as in the "
        "product), the true kind, or none",
    )  # fmt: skip
    parser.add_argument("--misses", action="store_true", help="also list all misses")
    parser.add_argument("--weights", type=Path, help="weights file; default: shipped weights")
    given = parser.parse_args()
    marks, finder = read_marks(), LandmarkFinder.load(given.weights)
    sights = look_at(data_folder(given.data), marks)
    masks = {file: sight.mask for file, sight in sights.items()}
    kinds = {
        "seen": {file: sight.kind for file, sight in sights.items() if sight.kind},
        "true": {marked.file: marked.kind for marked in marks},
        "none": {},
    }[given.kind]
    found = score_halves(finder, masks, marks, kinds)
    if not given.misses:
        del found["misses"]
    without = [marked.file for marked in marks if masks.get(marked.file) is None]
    print(json.dumps({"kind": given.kind, "without_mask": without, **found}, indent=2))


if __name__ == "__main__":
    main()
