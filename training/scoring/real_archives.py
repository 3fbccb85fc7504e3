"""Read the archives of real-world photos for scoring and compute the product's texts."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agents.vision.networks.model import GarmentModel
from agents.vision.networks.prediction import Prediction
from agents.vision.text.caption import attributes, caption, description, needs_review
from training.photos.real_labels import photo_is_held_out, sender_is_held_out
from training.scoring.score_real import Told, Verdict, score_nothing, score_people, score_street

Kind = Literal["people", "street", "nothing"]
Row = Mapping[str, str]
BATCH = 8


def kind_of(folder: Path, archive: str) -> Kind | None:
    """The kind of an archive, by the columns of the table; None for studio and ten-class photos."""
    with (folder / f"{archive}.csv").open(newline="", encoding="utf-8") as file:
        columns = set(next(csv.reader(file)))
    kinds: dict[Kind, set[str]] = {
        "people": {"label", "kids"}, "street": {"mask", "tags"}, "nothing": {"what"},
    }  # fmt: skip
    return next((kind for kind, wanted in kinds.items() if wanted <= columns), None)


def is_held_out(kind: Kind, row: Row) -> bool:
    """Whether a photo is held out for scoring.

    A photo of people is held out if it is in the old validation split or its sender is unknown. The
    sender decides for photos outside the old splits; photos of the old training split are not held
    out. The name decides for other kinds.
    """
    if kind == "people":
        sender, split = row.get("sender_id"), row.get("split")
        if not sender:
            return True
        return split == "validation" or (split != "train" and sender_is_held_out(sender))
    return photo_is_held_out(row["file"])


def held_out_names(folder: Path, archive: str) -> set[str]:
    """File names of an archive's held-out photos; all photos if `kind_of` the archive is None."""
    kind = kind_of(folder, archive)
    with (folder / f"{archive}.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"] for row in csv.DictReader(file)
                if kind is None or is_held_out(kind, row)}  # fmt: skip


def score_told(
    model: GarmentModel, folder: Path, archive: str, kind: Kind, held_out: bool, verdict: Verdict
) -> dict[str, Any]:
    """The scores of the product's texts on one archive; for street photos also the mask's IoU."""
    rows: list[Row] = []
    told: list[Told] = []
    overlaps: list[float] = []
    for batch in _batches(folder, archive, kind, held_out):
        seen = model.predict([image for _, image, _ in batch])
        for (row, _, mask), one in zip(batch, seen, strict=True):
            rows.append(row)
            told.append(told_of(one))
            if mask is not None:
                overlaps.append(overlap(one, mask > 0))
    if kind == "people":
        return score_people(rows, told, verdict)
    if kind == "street":
        return {**score_street(rows, told), "mask_iou": round(float(np.mean(overlaps or [0])), 4)}
    return score_nothing(told)


def told_of(seen: Prediction) -> Told:
    """The product's texts, sleeve, neckline and review mark of a photo."""
    beside = [description(seen)]
    for name, attribute in attributes(seen).items():
        if name in ("sleeve", "neckline"):
            beside.append(f"{attribute['value']} {name}")
    return Told(caption(seen), " ".join(beside), bool(needs_review(seen)))


def overlap(seen: Prediction, true: NDArray[np.bool_]) -> float:
    """Intersection over union of the mask and the annotators' mask (h, w); 0 without a mask."""
    if seen.mask is None:
        return 0.0
    height, width = true.shape
    found = seen.mask.to(width, height) > 0.5
    return float((found & true).sum() / max((found | true).sum(), 1))


def _batches(
    folder: Path, archive: str, kind: Kind, held_out: bool
) -> Iterator[list[tuple[Row, Image.Image, NDArray[np.uint8] | None]]]:
    with (folder / f"{archive}.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not held_out or is_held_out(kind, row)]
    batch: list[tuple[Row, Image.Image, NDArray[np.uint8] | None]] = []
    with tarfile.open(folder / f"{archive}.tar") as tar:
        names = {Path(entry.name).name: entry for entry in tar.getmembers()}
        for row in rows:
            image = Image.open(_member(tar, names[row["file"]])).convert("RGB")
            masked = names.get(row.get("mask", ""))
            mask = np.asarray(Image.open(_member(tar, masked)), np.uint8) if masked else None
            batch.append((row, image, mask))
            if len(batch) == BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def _member(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> io.BytesIO:
    file = tar.extractfile(entry)
    return io.BytesIO(file.read() if file else b"")
