"""Chooses the probability at which each attribute is named, on validation photos, and scores it.

Writes a curve for each attribute: for each target precision, the lowest threshold that reaches it
and the coverage (share of photos for which the attribute is named). Writes and prints the
thresholds of each target precision, the curves, and the scores of plain captions.

Examples:
    python -m training.calibration.calibrate --net net.safetensors --out thresholds.json
    python -m training.calibration.calibrate --net net.safetensors \\
        --second second.safetensors --yardstick verdicts.py --out thresholds.json
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from agents.vision.networks.blend import Blend
from agents.vision.networks.garment_net import HEADS
from agents.vision.text.caption import WEARERS
from agents.vision.text.garments import COLOUR_MEMBERS, NOTHING, below
from agents.vision.text.naming import (
    Named,
    Shares,
    Thresholds,
    childs_share,
    named,
    named_colour,
    named_type,
)
from training.photos.data import data_folder, default_cache
from training.photos.real_data import RealPhotos, Sample, load_real
from training.scoring.score_real import (
    Told,
    Verdict,
    by_hierarchy,
    by_label,
    load_yardstick,
    score_nothing,
    score_people,
    score_street,
)
from training.trainers.checkpoint import Checkpoint, second_opinion
from training.trainers.real_scores import logits_at, people_group

TARGETS = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
GRID = tuple(round(step, 3) for step in np.arange(0.2, 0.995, 0.01))
TYPE_GRID = (*GRID[::2], 0.985, 0.99, 0.995)
KIDS_CALLED_ADULTS, LEAST_SAID = 0.03, 12
UNMARKED, CLAIMED, UNMARKED_CLAIMED, EMPTY = 0.02, 0.03, 0.01, 0.01


@dataclass(frozen=True)
class Answer:
    """A validation photo and the networks' probabilities by head and word."""

    sample: Sample
    shares: dict[str, Shares]


def groups_of(photos: RealPhotos, studio_every: int) -> dict[str, list[int]]:
    """Return the indices of the validation photos of each source."""
    listed = list(enumerate(photos.samples))
    studio = [i for i, s in listed if s.source == "studio" and s.held_out]
    return {
        "people": [i for i, s in listed if people_group(s)],
        "street": [i for i, s in listed if s.source == "street" and s.held_out],
        "nothing": [i for i, s in listed if s.source == "nothing" and s.held_out],
        "studio": studio[::studio_every],
    }


def answers_of(
    net: Checkpoint, second: Path | None, photos: RealPhotos, places: list[int]
) -> list[Answer]:
    """Return the answers of the network, or of both networks, for the photos at these indices."""
    first = logits_at(net.net, photos, places, net.size)
    if second is None:
        shares = {head: first[head].softmax(1) for head in HEADS}
    else:
        with safe_open(second, framework="pt") as file:
            blend = Blend.of_json(file.metadata()["blend"])
        other = logits_at(second_opinion(second), photos, places, net.size)
        shares = blend.probabilities(first, other)
    rows = {head: share.tolist() for head, share in shares.items()}
    words = {head: getattr(net.words, head) for head in HEADS}
    return [
        Answer(photos.samples[place],
               {head: dict(zip(words[head], rows[head][i], strict=True)) for head in HEADS})
        for i, place in enumerate(places)
    ]  # fmt: skip


def curve(pairs: Sequence[tuple[float, bool]]) -> dict[str, tuple[float, float]]:
    """Return for each target precision the lowest threshold that reaches it, and its coverage.

    ``pairs`` are a confidence and whether the word was true.
    """
    found: dict[str, tuple[float, float]] = {}
    for target in TARGETS:
        for at in GRID:
            said = [hit for share, hit in pairs if share >= at]
            if len(said) >= LEAST_SAID and sum(said) / len(said) >= target:
                found[str(target)] = (at, round(len(said) / len(pairs), 3))
                break
    return found


def at_precision(curves: dict[str, tuple[float, float]], target: float, otherwise: float) -> float:
    """Return the threshold of the lowest listed precision that is at least the target.

    If no threshold reached the target, return the highest one; without any, ``otherwise``.
    """
    able = [float(name) for name in curves if float(name) >= target]
    if able:
        return curves[str(min(able))][0]
    return max((at for at, _ in curves.values()), default=otherwise)


def type_verdict(answer: Answer, at: float, verdict: Verdict) -> tuple[str, float]:
    """Return the verdict on the type that a threshold names, and the type's probability."""
    word, share = named_type(answer.shares["type"], at)
    caption = word or "garment"
    if answer.sample.source == "people":
        return verdict(caption, answer.sample.label), share
    return by_hierarchy(caption, answer.sample.types), share


def natural_weights(samples: Sequence[Sample], judged: Sequence[Sample]) -> list[float]:
    """Return weights that give the judged photos the mix of labels and children of all photos.

    The weights are needed because validation photos have mostly rare labels.
    """

    def key(sample: Sample) -> tuple[str, bool]:
        return sample.label, "baby" in sample.wearers

    every = Counter(key(s) for s in samples if s.source == "people" and s.types)
    here = Counter(key(s) for s in judged)
    raw = [every[key(s)] / here[key(s)] for s in judged]
    return [weight * len(raw) / sum(raw) for weight in raw]


def type_curve(
    answers: Sequence[Answer], weights: Sequence[float], verdict: Verdict
) -> dict[str, tuple[float, float]]:
    """Return for each target the lowest threshold at which that share of captions is not wrong.

    The second value is the share of captions that are right.
    """
    found: dict[str, tuple[float, float]] = {}
    for at in TYPE_GRID:
        said: Counter[str] = Counter()
        for answer, weight in zip(answers, weights, strict=True):
            said[type_verdict(answer, at, verdict)[0]] += weight  # type: ignore[assignment]
        for target in TARGETS:
            if str(target) not in found and 1 - said["wrong"] / said.total() >= target:
                found[str(target)] = (at, round(said["right"] / said.total(), 3))
    return found


def first_at(test: Callable[[float], bool], otherwise: float) -> float:
    """Return the lowest threshold of `GRID` that passes the test."""
    return next((at for at in GRID if test(at)), otherwise)


def colour_pairs(answers: Sequence[Answer]) -> list[tuple[float, bool]]:
    """Return confidences of studio photos' colours; a word of the same broad colour is true."""
    pairs = []
    for answer in answers:
        if answer.sample.colour:
            word, share = named_colour(answer.shares["colour"], 0.4)
            best = word or max(answer.shares["colour"], key=answer.shares["colour"].__getitem__)
            pairs.append((share, bool(_kin(best) & _kin(answer.sample.colour))))
    return pairs


def _kin(colour: str) -> set[str]:
    broad = {word for word, members in COLOUR_MEMBERS.items() if colour in members}
    return {colour} | broad


def head_pairs(answers: Sequence[Answer], head: str) -> list[tuple[float, bool]]:
    """Return confidences of a head's most probable word, for photos with a label."""
    pairs = []
    for answer in answers:
        true = answer.sample.words(head)
        word, share = max(answer.shares[head].items(), key=lambda pair: pair[1])
        if true and word != "unstated":
            pairs.append((share, word in true))
    return pairs


def thresholds_of(
    groups: dict[str, list[Answer]], samples: Sequence[Sample], precision: float, verdict: Verdict
) -> tuple[Thresholds, dict[str, Any]]:
    """Return the thresholds for a target precision, and all curves."""
    judged = [a for a in groups["people"] if a.sample.types]
    street = [a for a in groups["street"] if a.sample.types]
    weights = natural_weights(samples, [a.sample for a in judged])
    empty = [a.shares["type"][NOTHING] for a in groups["nothing"]]
    shown = [a.shares["type"][NOTHING] for a in judged + street]
    child = [(childs_share(a.shares["gender"]), "baby" in a.sample.wearers)
             for a in groups["people"]]  # fmt: skip
    curves = {
        "type": type_curve(judged, weights, verdict),
        "type_street": type_curve(street, [1.0] * len(street), verdict),
        "colour": curve(colour_pairs(groups["studio"])),
        "kids": curve(child),
        "sleeve": curve(head_pairs(groups["people"] + groups["studio"], "sleeve")),
        "neckline": curve(head_pairs(groups["people"] + groups["studio"], "neckline")),
        "pattern": curve(head_pairs(groups["studio"], "pattern")),
    }
    defaults = Thresholds()
    at = {name: at_precision(curves[name], precision, getattr(defaults, name))
          for name in ("type", "colour", "kids", "sleeve", "neckline", "pattern")}  # fmt: skip
    for name in ("sleeve", "neckline", "pattern"):  # these labels are too few for low thresholds
        at[name] = max(at[name], getattr(defaults, name))
    said = [(*type_verdict(a, at["type"], verdict), w)
            for a, w in zip(judged, weights, strict=True)]  # fmt: skip
    children = [share for share, kid in child if kid]
    found = Thresholds(
        **at,
        type_sure=first_at(
            lambda t: sum(w for v, s, w in said if v == "wrong" and s >= t)
            <= UNMARKED * len(said), 0.995,
        ),
        nothing=first_at(lambda t: bool(np.mean([s >= t for s in shown]) <= EMPTY), 0.5),
        maybe_nothing=max(
            [t for t in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
             if np.mean([s < t for s in empty]) <= UNMARKED_CLAIMED], default=0.02,
        ),
        adult=max([t for t in np.arange(0.01, 0.5, 0.01)
                   if np.mean([s < t for s in children]) <= KIDS_CALLED_ADULTS], default=0.01),
        colour_sure=at["colour"],
    )  # fmt: skip
    return replace(found, type_sure=max(found.type_sure, found.type)), curves


def plain_caption(found: Named) -> str:
    """Return the shortest caption of the words. Empty if there is no garment."""
    if found.is_nothing:
        return ""
    wearer = WEARERS[found.wearer][0] if found.wearer else ""
    return " ".join(filter(None, [wearer, found.colour, found.type or "garment"]))


def told_of(answer: Answer, at: Thresholds) -> Told:
    """Return a plain caption with its details, for scoring."""
    found = named(answer.shares, at)
    beside = " ".join(f"{word} {head}" for head, word in found.details)
    return Told(plain_caption(found), beside, "type" in found.review, found.share)


def scores_at(
    groups: dict[str, list[Answer]], samples: Sequence[Sample], at: Thresholds, verdict: Verdict
) -> dict[str, Any]:
    """Return the scores of plain captions, and of the most probable words of studio photos."""
    told = {name: [told_of(a, at) for a in listed] for name, listed in groups.items()}
    people = [{"label": a.sample.label, "kids": str("baby" in a.sample.wearers)}
              for a in groups["people"]]  # fmt: skip
    strict = [a.sample.held_out for a in groups["people"]]
    return {
        "people": score_people(people, told["people"], verdict),
        "people_natural_mix": _natural(groups["people"], told["people"], samples, verdict),
        "people_of_held_out_senders": score_people(
            [row for row, keep in zip(people, strict, strict=True) if keep],
            [t for t, keep in zip(told["people"], strict, strict=True) if keep], verdict,
        ),
        "street": score_street([{"tags": a.sample.label} for a in groups["street"]],
                               told["street"]),
        "nothing": score_nothing(told["nothing"]),
        "studio": studio_top1(groups["studio"]),
    }  # fmt: skip


def _natural(
    answers: Sequence[Answer], told: Sequence[Told], samples: Sequence[Sample], verdict: Verdict
) -> dict[str, float]:
    """Return the share of each verdict, weighted by `natural_weights`."""
    pairs = [(a.sample, t) for a, t in zip(answers, told, strict=True) if a.sample.types]
    weights = natural_weights(samples, [sample for sample, _ in pairs])
    found = dict.fromkeys(("right", "broad", "wrong", "unmarked_wrong", "review"), 0.0)
    for (sample, each), weight in zip(pairs, weights, strict=True):
        said = verdict(each.caption, sample.label) if each.caption else "broad"
        found[said] += weight
        found["unmarked_wrong"] += weight * (said == "wrong" and not each.review)
        found["review"] += weight * each.review
    return {name: round(total / len(pairs), 4) for name, total in found.items()}


def studio_top1(answers: Sequence[Answer]) -> dict[str, float]:
    """Return, by archive and head, the share of photos whose most probable word is right.

    The shop's word is right; for types, a narrower word is right too.
    """
    found: dict[str, float] = {}
    for archive in sorted({a.sample.archive for a in answers}):
        listed = [a for a in answers if a.sample.archive == archive]
        for head in ("type", "colour", "gender"):
            hits = []
            for a in listed:
                shops = a.sample.label if head == "type" else "".join(a.sample.words(head))
                best = max(a.shares[head], key=a.shares[head].__getitem__)
                if shops in a.shares[head]:
                    hits.append(best in below(shops) if head == "type" else best == shops)
            found[f"{archive}_{head}"] = round(float(np.mean(hits)), 4)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="folder of the photo archives; default LOOKSTREAM_DATA"
    )
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="folder for decoded photos"
    )
    parser.add_argument("--net", type=Path, required=True, help="weights of trainers.real_train")
    parser.add_argument("--second", type=Path, help="written by training.calibration.real_blend")
    parser.add_argument("--yardstick", type=Path, help="a Python file with verdict(caption, label)")
    parser.add_argument("--studio-every", type=int, default=1, help="score every nth studio photo")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    verdict = load_yardstick(given.yardstick) if given.yardstick else by_label
    photos = load_real(data_folder(given.data), given.cache)
    net = Checkpoint.load(given.net)
    groups = {
        name: answers_of(net, given.second, photos, places)
        for name, places in groups_of(photos, given.studio_every).items()
    }
    found: dict[str, Any] = {"thresholds": {}, "scores": {}}
    for precision in TARGETS:
        at, found["curves"] = thresholds_of(groups, photos.samples, precision, verdict)
        found["thresholds"][str(precision)] = json.loads(at.to_json())
        found["scores"][str(precision)] = scores_at(groups, photos.samples, at, verdict)
    given.out.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
