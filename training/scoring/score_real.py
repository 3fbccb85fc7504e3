"""Score captions of people's photos, street photos and photos without a garment.

The type hierarchy judges the words of a caption. For people's labels, a yardstick can replace the
hierarchy: a Python file with ``verdict(caption, label)`` that returns "right", "broad" or "wrong".
"""

from __future__ import annotations

import importlib.util
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.vision.text.garments import any_true, every_word
from training.photos.real_labels import PEOPLE_LABELS, tag_types

Verdict = Callable[[str, str], str]

# Words too general to be "right", unless the word is one of the true types.
BROAD = {"garment", "top", "bottoms", "footwear", "headwear", "one-piece", "outerwear"}
WITHOUT_SLEEVES = {"Pants", "Shorts", "Skirt", "Shoes", "Hat"}
_DETAILS = re.compile(r"\b(sleeve\w*|\w+-sleeved|neck\w*|[vu]-neck|\w+-neck|collar\w*)\b", re.I)
_ADULTS = re.compile(r"\b(men|women|man|woman|mens|womens|unisex|ladies)\b", re.I)


@dataclass(frozen=True)
class Told:
    """The output for one photo: the caption, further texts (``beside``) and the review mark."""

    caption: str
    beside: str
    review: bool
    confidence: float = 0.0

    @property
    def text(self) -> str:
        return f"{self.caption} {self.beside}"


def load_yardstick(path: Path) -> Verdict:
    """The function `verdict` of a Python file.

    Raises OSError without a readable Python file, AttributeError if the file has no `verdict`.
    """
    spec = importlib.util.spec_from_file_location("yardstick", path)
    if spec is None or spec.loader is None:
        raise OSError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    verdict: Verdict = module.verdict
    return verdict


def words_named(caption: str) -> set[str]:
    """The hierarchy's words in a caption, only the longest matches: "tank top" without "top"."""
    text = caption.lower()
    found = {w for w in every_word() if re.search(rf"(?<![\w-]){re.escape(w)}(?![\w-])", text)}
    return {w for w in found
            if not any(w != v and re.search(rf"\b{re.escape(w)}\b", v) for v in found)}  # fmt: skip


def by_hierarchy(caption: str, types: Sequence[str]) -> str:
    """The verdict of the hierarchy on a caption. Any of ``types`` may be the true one.

    "wrong": a word of the hierarchy is not true of any type. "right": otherwise, a word is one of
    the types or is not in `BROAD`. "broad": all other captions.
    """
    found = words_named(caption)
    if any(not any_true(types, word) for word in found):
        return "wrong"
    if any(word in types or word not in BROAD for word in found):
        return "right"
    return "broad"


def by_label(caption: str, label: str) -> str:
    """The verdict of the hierarchy on a caption, for a label of people's photos."""
    return by_hierarchy(caption, PEOPLE_LABELS[label])


def score_people(
    rows: Sequence[Mapping[str, str]], told: Sequence[Told], verdict: Verdict = by_label
) -> dict[str, Any]:
    """Shares of verdicts on captions of people's photos.

    ``kids_called_adults`` is the share of children's photos with a text that names adults.
    ``nonsense`` is the number of photos in `WITHOUT_SLEEVES` with a text on sleeves, neckline or
    collar.
    """
    counts: Counter[str] = Counter()
    labels: dict[str, list[bool]] = defaultdict(list)
    wrongly: Counter[tuple[str, str]] = Counter()
    for row, each in zip(rows, told, strict=True):
        label = row["label"]
        if label not in PEOPLE_LABELS:
            continue
        said = verdict(each.caption, label) if each.caption else "broad"
        counts[said] += 1
        counts["empty"] += not each.caption
        counts["unmarked_wrong"] += said == "wrong" and not each.review
        counts["review"] += each.review
        labels[label].append(said == "right")
        if said == "wrong":
            wrongly[label, ", ".join(sorted(words_named(each.caption)))] += 1
    total = sum(counts[name] for name in ("right", "broad", "wrong"))
    kids = [t for row, t in zip(rows, told, strict=True) if row.get("kids") == "True"]
    bare = [t for row, t in zip(rows, told, strict=True) if row["label"] in WITHOUT_SLEEVES]
    recall = {label: _mean(hits) for label, hits in sorted(labels.items())}
    return {
        "n": total,
        **{name: round(counts[name] / max(total, 1), 4)
           for name in ("right", "broad", "wrong", "unmarked_wrong", "empty", "review")},
        "right_mean_over_labels": _mean(list(recall.values())),
        "right_by_label": recall,
        "kids_called_adults": _mean([bool(_ADULTS.search(t.text)) for t in kids]),
        "kids": len(kids),
        "nonsense": sum(bool(_DETAILS.search(t.text)) for t in bare),
        "wrong_most": [[*pair, n] for pair, n in wrongly.most_common(12)],
    }  # fmt: skip


def score_street(rows: Sequence[Mapping[str, str]], told: Sequence[Told]) -> dict[str, Any]:
    """Shares of verdicts on captions of outfits. The types of all tags of the outfit are true."""
    counts: Counter[str] = Counter()
    for row, each in zip(rows, told, strict=True):
        types = tag_types(row["tags"].split("|"))
        said = by_hierarchy(each.caption, types) if each.caption else "broad"
        counts[said] += 1
        counts["unmarked_wrong"] += said == "wrong" and not each.review
        counts["empty"] += not each.caption
    names = ("right", "broad", "wrong", "unmarked_wrong", "empty")
    return {"n": len(rows), **{name: round(counts[name] / max(len(rows), 1), 4) for name in names}}


def score_nothing(told: Sequence[Told]) -> dict[str, Any]:
    """For photos without a garment: the shares with a caption, and with one but no review mark."""
    claimed = [bool(each.caption) for each in told]
    unmarked = [bool(each.caption) and not each.review for each in told]
    return {"n": len(told), "claimed": _mean(claimed), "unmarked": _mean(unmarked)}


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / max(len(values), 1), 4)
