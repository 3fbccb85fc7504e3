"""Scores weights on photos that they were not trained on, by the way the product uses them.

Examples:
    python -m training.score --data photos
    LOOKSTREAM_DATA=photos python -m training.score --weights quick.safetensors --out scores.json
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from agents.vision.caption import BROADER_COLOURS, BROADER_TYPES, SURE, attributes
from agents.vision.model import GarmentModel, Prediction, Ranking
from training.data import (
    CATALOGUES,
    VALIDATION_PHOTOS,
    Example,
    data_folder,
    photo_class_words,
    read_archive,
    read_examples,
)
from training.labels import PHOTO_CLASSES

Scored = tuple[Example, Prediction]


def predictions(model: GarmentModel, folder: Path, archive: str) -> Iterator[Scored]:
    """The archive's held-out examples with what the model says of them."""
    wanted = {e.member: e for e in read_examples(folder, archive) if e.held_out}
    batch: list[tuple[Example, Image.Image]] = []
    for member, image in read_archive(folder / f"{archive}.tar"):
        if member in wanted:
            batch.append((wanted[member], image))
        if len(batch) == 32:
            yield from _predicted(model, batch)
            batch = []
    yield from _predicted(model, batch)


def _predicted(
    model: GarmentModel, batch: Sequence[tuple[Example, Image.Image]]
) -> Iterator[Scored]:
    found = model.predict([image for _, image in batch])
    return zip((example for example, _ in batch), found, strict=True)


def photo_class(ranking: Ranking) -> tuple[str, float]:
    """The likeliest of the ten classes of people's photos and its share among the ten."""
    words = [word for word, _ in ranking]
    shares = {
        name: sum(ranking[place][1] for place in places)
        for name, places in photo_class_words(words).items()
    }
    best = max(shares, key=lambda name: shares[name])
    return best, shares[best] / max(sum(shares.values()), 1e-9)


def score_photos(model: GarmentModel, folder: Path) -> dict[str, Any]:
    """Top-1 of the ten classes on people's photos, with each class's recall."""
    named = {words: name for name, words in PHOTO_CLASSES.items()}
    hits: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    pairs: list[tuple[float, bool]] = []
    said: list[bool] = []
    any_word = 0
    for example, seen in predictions(model, folder, VALIDATION_PHOTOS):
        truth = named[example.types]
        guess, share = photo_class(seen.types)
        totals[truth] += 1
        hits[truth] += guess == truth
        any_word += seen.types[0][0] in example.types
        pairs.append((share, guess == truth))
        said.extend(said_truths(example, seen, "type"))
    n = sum(totals.values())
    return {
        "n": n,
        "top1": round(sum(hits.values()) / n, 4),
        "first_word_true": round(any_word / n, 4),
        "recall": {name: round(hits[name] / totals[name], 3) for name in sorted(totals)},
        "calibration_error": calibration_error(pairs),
        "caption_type_said": round(len(said) / n, 4),
        "caption_type_true": round(sum(said) / max(len(said), 1), 4),
    }


def score_catalogue(model: GarmentModel, folder: Path, archive: str) -> dict[str, Any]:
    """Top-1 and top-5 of each head on an archive's held-out products."""
    scored = list(predictions(model, folder, archive))
    found: dict[str, Any] = {"n": len(scored)}
    for head, field in (("type", "types"), ("colour", "colours"), ("gender", "genders")):
        places: list[int] = []
        pairs: list[tuple[float, bool]] = []
        for example, seen in scored:
            ranking: Ranking = getattr(seen, field)
            words = [word for word, _ in ranking]
            truths = [words.index(w) for w in _truth(example, head) if w in words]
            if truths:
                places.append(min(truths))
                pairs.append((ranking[0][1], min(truths) == 0))
        said = [true for example, seen in scored for true in said_truths(example, seen, head)]
        found[head] = {
            "n": len(places),
            "top1": round(sum(place == 0 for place in places) / len(places), 4),
            "top5": round(sum(place < 5 for place in places) / len(places), 4),
            "calibration_error": calibration_error(pairs),
            "caption_said": round(len(said) / len(scored), 4),
            "caption_true": round(sum(said) / max(len(said), 1), 4),
        }
    return found


def _truth(example: Example, head: str) -> tuple[str, ...]:
    if head == "type":
        return example.types
    word = example.colour if head == "colour" else example.gender
    return (word,) if word else ()


def said_truths(example: Example, seen: Prediction, head: str) -> list[bool]:
    """Whether the caption's word for this head is true: empty where it says or knows none."""
    truths = _truth(example, head)
    choice = attributes(seen).get(head)
    if not truths or choice is None or float(choice["confidence"]) < SURE[head]:
        return []
    word = str(choice["value"])
    broader = BROADER_TYPES if head == "type" else BROADER_COLOURS if head == "colour" else {}
    return [bool({word, *broader.get(word, ())} & set(truths))]


def calibration_error(pairs: Sequence[tuple[float, bool]], bins: int = 10) -> float:
    """Mean distance between confidence and accuracy over equal-width bins (Guo et al. 2017)."""
    total = 0.0
    for index in range(bins):
        inside = [p for p in pairs if index == min(int(p[0] * bins), bins - 1)]
        total += abs(sum(share for share, _ in inside) - sum(hit for _, hit in inside))
    return round(total / max(len(pairs), 1), 4)


def speed(model: GarmentModel) -> dict[str, float]:
    """Milliseconds a photo on one thread for working copies of 768x1024, the best of 15."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    noise = Image.effect_noise((768, 1024), 60).convert("RGB")
    found: dict[str, float] = {}
    for batch in (1, 8):
        photos = [noise.copy() for _ in range(batch)]
        times = []
        for _ in range(15):
            began = time.perf_counter()
            model.predict(photos)
            times.append((time.perf_counter() - began) / batch * 1000)
        found[f"batch_{batch}"] = round(min(times), 2)
    torch.set_num_threads(before)
    return found


def score(model: GarmentModel, folder: Path) -> dict[str, Any]:
    """Every figure of the model card."""
    return {
        "model": model.model_id,
        VALIDATION_PHOTOS: score_photos(model, folder),
        **{archive: score_catalogue(model, folder, archive) for archive in CATALOGUES},
        "milliseconds_a_photo": speed(model),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="archives' folder; else LOOKSTREAM_DATA")
    parser.add_argument("--weights", type=Path, help="weights to score; else the shipped ones")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    given = parser.parse_args()
    found = score(GarmentModel.load(given.weights), data_folder(given.data))
    text = json.dumps(found, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
