"""Scores of archives whose captions and masks are known."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.archives import png, write_archive
from training.scoring.answers import Answer, Answers, Area
from training.scoring.real_archives import Kind, kind_of, score_told
from training.scoring.score import main
from training.scoring.score_real import Told, by_label

WIDTH, HEIGHT = 40, 20
STREET_LABELS = ("null", "dress", "hair", "boots")


def left_half(width: int, height: int) -> Area:
    area = np.zeros((height, width), np.bool_)
    area[:, : width // 2] = True
    return area


def answering(told: Mapping[bytes, Told]) -> Answers:
    """Return a function that finds the texts by the file's bytes, with the mask `left_half`."""

    def answers(files: Sequence[bytes]) -> list[Answer]:
        return [Answer(told[file], left_half, failed=told[file].caption == "") for file in files]

    return answers


def scored(
    folder: Path, name: str, kind: Kind, rows: Sequence[Mapping[str, str]], told: Sequence[Told],
    extra: Mapping[str, bytes] | None = None,
) -> dict[str, Any]:  # fmt: skip
    files = {row["file"]: row["file"].encode() for row in rows}
    write_archive(folder, name, rows, {**files, **(extra or {})})
    assert kind_of(folder, name) == kind
    by_file = {row["file"].encode(): one for row, one in zip(rows, told, strict=True)}
    return score_told(answering(by_file), folder, name, kind, False, by_label)


def test_peoples_photos(tmp_path: Path) -> None:
    said = [
        ("T-Shirt", "False", Told("Red T-Shirt", "", False)),
        ("Pants", "True", Told("Women's Garment", "It has long sleeves.", True)),
        ("Hat", "True", Told("Kids' Dress", "", True)),
        ("Skirt", "False", Told("Blue Dress", "", False)),
        ("Shoes", "False", Told("", "", False)),
    ]
    rows = [
        {"file": f"{place}.webp", "label": label, "kids": kids}
        for place, (label, kids, _) in enumerate(said)
    ]
    found = scored(tmp_path, "people", "people", rows, [told for *_, told in said])
    assert {name: found[name] for name in ("n", "right", "broad", "wrong")} == {
        "n": 5, "right": 0.2, "broad": 0.4, "wrong": 0.4,
    }  # fmt: skip
    assert found["unmarked_wrong"] == 0.2
    assert found["kids_called_adults"] == 0.5
    assert found["nonsense"] == 1
    assert found["failed"] == 1


def test_street_photos(tmp_path: Path) -> None:
    (tmp_path / "street-labels.txt").write_text("\n".join(STREET_LABELS))
    true = np.zeros((HEIGHT, WIDTH), np.uint8)
    true[:, :20] = 1  # the dress covers the mask
    true[:, 20:25] = 2
    true[0, 25:27] = 3  # boots below one per cent of the photo are left out
    rows = [
        {"file": "1.webp", "mask": "1.mask.png", "tags": "dress|hair|boots"},
        {"file": "2.webp", "mask": "", "tags": "jeans|coat"},
        {"file": "3.webp", "mask": "", "tags": "jeans"},
    ]
    told = [Told("Red Dress", "", False), Told("Garment", "", True), Told("Hat", "", True)]
    found = scored(tmp_path, "street", "street", rows, told, {"1.mask.png": png(true)})
    assert [found[name] for name in ("n", "right", "broad", "wrong")] == [3, 0.3333, 0.3333, 0.3333]
    assert found["mask_iou"] == round(400 / 502, 4)
    assert found["mask_iou_by_garment"] == {"dress": 1.0}


def test_photos_without_a_garment(tmp_path: Path) -> None:
    rows = [{"file": f"{place}.webp", "what": "apple"} for place in range(4)]
    told = [Told("", "", True), Told("", "", True), Told("Hat", "", True), Told("Bag", "", False)]
    found = scored(tmp_path, "not-garments", "nothing", rows, told)
    assert (found["n"], found["claimed"], found["unmarked"]) == (4, 0.5, 0.25)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--gateway", "http://127.0.0.1:9", "--weights", "w.safetensors"], "not allowed with"),
        (["--gateway", "http://127.0.0.1:9", "--only", "ten"], "--gateway scores people's"),
        (["--only", "missing"], "has no missing.tar"),
    ],
)
def test_wrong_options_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    error: str,
) -> None:
    write_archive(tmp_path, "ten", [{"file": "1.webp", "label": "hat"}], {})
    monkeypatch.setattr(sys, "argv", ["score", str(tmp_path), *options])
    with pytest.raises(SystemExit):
        main()
    assert error in capsys.readouterr().err
