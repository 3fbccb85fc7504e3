"""Read the archives of real-world photos and score the product's texts and masks."""

from __future__ import annotations

import csv
import io
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.photos.real_data import street_labels
from training.photos.real_labels import STREET_TAGS, photo_is_held_out, sender_is_held_out
from training.scoring.answers import Answers, Area
from training.scoring.score_real import Told, Verdict, score_nothing, score_people, score_street

Kind = Literal["people", "street", "nothing"]
Row = Mapping[str, str]
BATCH = 8
LEAST_GARMENT = 0.01


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
    answers: Answers, folder: Path, archive: str, kind: Kind, held_out: bool, verdict: Verdict
) -> dict[str, Any]:
    """The scores of the product's texts on one archive; for street photos also the masks' IoU.

    ``failed`` is the number of photos without a result. They count as photos with empty texts.
    """
    rows: list[Row] = []
    told: list[Told] = []
    failed = 0
    overlaps: list[float] = []
    by_garment: dict[str, list[float]] = defaultdict(list)
    labels = street_labels(folder) if kind == "street" else []
    for batch in _batches(folder, archive, kind, held_out):
        found = answers([file for _, file, _ in batch])
        for (row, _, true), answer in zip(batch, found, strict=True):
            rows.append(row)
            told.append(answer.told)
            failed += answer.failed
            if true is not None:
                mask = answer.mask(true.shape[1], true.shape[0])
                overlaps.append(overlap(mask, true > 0))
                for tag, share in garment_overlaps(mask, true, labels).items():
                    by_garment[tag].append(share)
    if kind == "people":
        return {**score_people(rows, told, verdict), "failed": failed}
    if kind == "nothing":
        return {**score_nothing(told), "failed": failed}
    return {
        **score_street(rows, told),
        "mask_iou": _mean(overlaps),
        "mask_iou_by_garment": {tag: _mean(by_garment[tag]) for tag in sorted(by_garment)},
        "failed": failed,
    }


def overlap(mask: Area, true: Area) -> float:
    """Intersection over union of two areas (h, w); 0 if both are empty."""
    return float((mask & true).sum() / max((mask | true).sum(), 1))


def garment_overlaps(
    mask: Area, true: NDArray[np.uint8], labels: Sequence[str]
) -> dict[str, float]:
    """The mask's IoU with each garment of at least `LEAST_GARMENT` of the photo, by tag.

    The product has one mask for the whole outfit, so small garments of an outfit score low.
    """
    areas = {tag: true == number for number, tag in enumerate(labels) if tag in STREET_TAGS}
    return {tag: overlap(mask, area) for tag, area in areas.items()
            if area.mean() >= LEAST_GARMENT}  # fmt: skip


def _batches(
    folder: Path, archive: str, kind: Kind, held_out: bool
) -> Iterator[list[tuple[Row, bytes, NDArray[np.uint8] | None]]]:
    with (folder / f"{archive}.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not held_out or is_held_out(kind, row)]
    batch: list[tuple[Row, bytes, NDArray[np.uint8] | None]] = []
    with tarfile.open(folder / f"{archive}.tar") as tar:
        names = {Path(entry.name).name: entry for entry in tar.getmembers()}
        for row in rows:
            masked = names.get(row.get("mask", ""))
            mask = _mask(_member(tar, masked)) if masked else None
            batch.append((row, _member(tar, names[row["file"]]), mask))
            if len(batch) == BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def _mask(file: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(file)), np.uint8)


def _member(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    return file.read() if file else b""


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values or [0.0])), 4)
