"""Score the networks on labelled photos. The networks run as in the product.

With `--gateway`, the photos are submitted to a running system, and its finished jobs are scored.
This is possible for people's photos with ``kids``, street photos and photos without a garment.

DIR has archives NAME.tar and tables NAME.csv. The columns of a table give the kind of photos:
`articleType`, `baseColour`, `gender`, `masterCategory` and `productDisplayName` for studio photos;
`label` for people's photos of ten classes; `label` and `kids` for other people's photos; `mask` and
`tags` for street photos; `what` for photos without a garment. The output is one JSON object with
the archives' names as keys.

Examples:
    python -m training.scoring.score photos
    python -m training.scoring.score photos --only photos-validation --weights quick.safetensors
    python -m training.scoring.score photos --held-out    # only held-out photos
    python -m training.scoring.score photos --only people street --held-out --yardstick verdicts.py
    python -m training.scoring.score photos --only people --gateway http://127.0.0.1:8000
"""

import argparse
import csv
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lookstream_client import Client
from PIL import Image

from agents.vision.networks.model import GarmentModel
from agents.vision.networks.prediction import Prediction, Ranking
from training.photos.data import Example, examples_of, read_archive
from training.photos.labels import PHOTO_CLASSES, photo_class
from training.scoring.answers import from_gateway, from_networks
from training.scoring.caption_metrics import bleu4, cider_d
from training.scoring.real_archives import kind_of, score_told
from training.scoring.references import brands_of, names_a_brand, reference_of, said_in, spoken
from training.scoring.score_real import Verdict, by_label, load_yardstick

BATCH, LEAST_COVER = 8, 0.05
Scored = tuple[Example, Prediction]


def predictions(
    model: GarmentModel, folder: Path, archive: str, held_out: bool
) -> tuple[list[Scored], float]:
    """The examples of an archive with predictions, and the mean time for a photo in milliseconds.

    The time includes the prediction and the caption, without reading and decoding the photo.
    """
    with (folder / f"{archive}.csv").open(newline="", encoding="utf-8") as file:
        listed = examples_of(archive, list(csv.DictReader(file)))
    wanted = {e.member: e for e in listed if e.held_out or not held_out}
    found: list[Scored] = []
    spent = 0.0
    for batch in _batches(folder / f"{archive}.tar", wanted):
        began = time.perf_counter()
        seen = model.predict([image for _, image in batch])
        spoken_of = [spoken(one) for one in seen]
        spent += time.perf_counter() - began
        assert len(spoken_of) == len(batch)  # noqa: S101 - the timing includes the captions
        found.extend(zip((example for example, _ in batch), seen, strict=True))
    return found, spent / max(len(found), 1) * 1000


def _batches(path: Path, wanted: dict[str, Example]) -> Iterator[list[tuple[Example, Image.Image]]]:
    batch: list[tuple[Example, Image.Image]] = []
    for member, image in read_archive(path):
        if member in wanted:
            batch.append((wanted[member], image))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def score_photos(scored: Sequence[Scored]) -> dict[str, Any]:
    """Top-1, recall and calibration of the ten classes of people's photos, and mask coverage.

    ``mask_coverage`` is the share of photos whose mask covers more than `LEAST_COVER`;
    ``mask_share`` is the mean covered share.
    """
    named = {words: name for name, words in PHOTO_CLASSES.items()}
    pairs: list[tuple[float, bool]] = []
    recall: dict[str, list[bool]] = {name: [] for name in PHOTO_CLASSES}
    for example, seen in scored:
        truth = named[example.types]
        guess, share = photo_class(seen.types)
        pairs.append((share, guess == truth))
        recall[truth].append(guess == truth)
    covered = [_cover(seen) for _, seen in scored]
    return {
        "n": len(pairs),
        "left_out": 0,
        "top1": _mean([hit for _, hit in pairs]),
        "recall": {name: _mean(hits) for name, hits in recall.items() if hits},
        "ece": {"class": calibration_error(pairs)},
        "mask_coverage": _mean([share > LEAST_COVER for share in covered]),
        "mask_share": _mean(covered),
    }


def _cover(seen: Prediction) -> float:
    """The share of the photo that the mask covers."""
    shares = seen.mask.shares if seen.mask else b""
    return sum(share > 127 for share in shares) / max(len(shares), 1)


def score_catalogue(scored: Sequence[Scored]) -> dict[str, Any]:
    """Accuracy and calibration of the heads, accuracy of the captions, similarity to the titles.

    A head is scored on the photos whose true word is in the head's vocabulary.
    """
    heads = {head: _of_head(scored, head) for head in HEADS_SCORED}
    captions = [said_in(seen) for _, seen in scored]
    words = [spoken(seen) for _, seen in scored]
    references = [reference_of(example.title) for example, _ in scored]
    brands = brands_of(example.title for example, _ in scored)
    types = heads["type"]
    return {
        "n": types["n"],
        "left_out": len(scored) - types["n"],
        "type_top1": types["top1"],
        "type_top5": types["top5"],
        "colour_top1": heads["colour"]["top1"],
        "gender": heads["gender"]["top1"],
        **{f"caption_{head}": _caption_right(scored, captions, head) for head in TOLD_IN_CAPTIONS},
        **{f"caption_{head}_said": _mean([head in said for said in captions])
           for head in TOLD_IN_CAPTIONS},
        "cider_d": round(cider_d(words, references), 4),
        "bleu4": round(bleu4(words, references), 4),
        "brand_share": _mean([names_a_brand(w, brands) for w in words]),
        "ece": {head: found["ece"] for head, found in heads.items()},
        "left_out_colour": len(scored) - heads["colour"]["n"],
    }  # fmt: skip


TOLD_IN_CAPTIONS = ("type", "colour", "gender")
HEADS_SCORED = {
    "type": "types", "colour": "colours", "gender": "genders", "pattern": "patterns",
    "sleeve": "sleeves", "neckline": "necklines",
}  # fmt: skip


def _of_head(scored: Sequence[Scored], head: str) -> dict[str, Any]:
    places: list[int] = []
    pairs: list[tuple[float, bool]] = []
    for example, seen in scored:
        ranking: Ranking = getattr(seen, HEADS_SCORED[head])
        words = [word for word, _ in ranking]
        truth = _truth(example, head)
        if truth in words:
            places.append(words.index(truth))
            pairs.append((ranking[0][1], places[-1] == 0))
    return {
        "n": len(places),
        "top1": _mean([place == 0 for place in places]),
        "top5": _mean([place < 5 for place in places]),
        "ece": calibration_error(pairs),
    }


def _caption_right(
    scored: Sequence[Scored], captions: Sequence[dict[str, str]], head: str
) -> float:
    """The share of photos with the true word in the caption, among those with a known word."""
    right = []
    for (example, seen), said in zip(scored, captions, strict=True):
        truth = _truth(example, head)
        if truth in [word for word, _ in getattr(seen, HEADS_SCORED[head])]:
            right.append(said.get(head) == truth)
    return _mean(right)


def _truth(example: Example, head: str) -> str:
    if head == "type":
        return example.types[0] if example.types else ""
    return getattr(example, head) or ""


def calibration_error(pairs: Sequence[tuple[float, bool]], bins: int = 10) -> float:
    """Expected calibration error of (confidence, is right) pairs (Guo et al., ICML 2017).

    The error is the mean distance of confidence and accuracy in equal-width bins, weighted by the
    number of pairs.
    """
    total = 0.0
    for index in range(bins):
        inside = [p for p in pairs if index == min(int(p[0] * bins), bins - 1)]
        total += abs(sum(share for share, _ in inside) - sum(hit for _, hit in inside))
    return round(total / max(len(pairs), 1), 4)


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / max(len(values), 1), 4)


def score(
    model: GarmentModel,
    folder: Path,
    archives: Sequence[str],
    held_out: bool = False,
    verdict: Verdict = by_label,
) -> dict[str, Any]:
    """The scores of each archive. ``verdict`` judges the captions of people's photos."""
    found: dict[str, Any] = {}
    answers = from_networks(model)
    for archive in archives:
        if kind := kind_of(folder, archive):
            found[archive] = score_told(answers, folder, archive, kind, held_out, verdict)
            continue
        scored, milliseconds = predictions(model, folder, archive, held_out)
        studio = bool(scored) and scored[0][0].is_catalogue
        figures = score_catalogue(scored) if studio else score_photos(scored)
        found[archive] = {**figures, "ms_per_photo": round(milliseconds, 2)}
    return found


def score_gateway(
    client: Client,
    folder: Path,
    archives: Sequence[str],
    held_out: bool = False,
    verdict: Verdict = by_label,
) -> dict[str, Any]:
    """The scores of a running system's finished jobs. Leaves out archives without a `kind_of`."""
    answers = from_gateway(client)
    kinds = {archive: kind_of(folder, archive) for archive in archives}
    return {
        archive: score_told(answers, folder, archive, kind, held_out, verdict)
        for archive, kind in kinds.items()
        if kind
    }


def archives_in(folder: Path) -> list[str]:
    """The names of the archives with a table in the same folder."""
    return sorted(p.stem for p in folder.glob("*.tar") if p.with_suffix(".csv").is_file())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of the archives")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="archives; default: all")
    parser.add_argument("--held-out", action="store_true", help="score only held-out photos")
    parser.add_argument(
        "--yardstick", type=Path, help="Python file with verdict(caption, label); default: by_label"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--weights", type=Path, help="weights file; default: shipped weights")
    where.add_argument("--gateway", metavar="URL", help="score a running system instead")
    parser.add_argument("--threads", type=int, default=2, help="number of torch threads")
    parser.add_argument("--out", type=Path, help="file to write the JSON to as well")
    given = parser.parse_args()
    listed = archives_in(given.folder)
    archives = given.only or listed
    if not archives:
        parser.error(f"{given.folder} has no NAME.tar with a NAME.csv")
    if missing := sorted(set(archives) - set(listed)):
        parser.error(f"{given.folder} has no {missing[0]}.tar with a {missing[0]}.csv")
    if given.gateway:
        able = [archive for archive in archives if kind_of(given.folder, archive)]
        if given.only and able != archives:
            parser.error("--gateway scores people's, street and not-garment photos only")
        archives = able
    verdict = load_yardstick(given.yardstick) if given.yardstick else by_label
    if given.gateway:
        with Client(given.gateway) as client:
            found = score_gateway(client, given.folder, archives, given.held_out, verdict)
    else:
        torch.set_num_threads(given.threads)
        model = GarmentModel.load(given.weights)
        found = score(model, given.folder, archives, given.held_out, verdict)
    text = json.dumps(found, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
