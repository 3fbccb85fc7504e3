"""Scores of a running system: photos go in through REST, texts and masks come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lookstream_client import Client

from tests.acceptance.system import System
from tests.archives import png, write_archive
from tests.garments import tshirt
from training.scoring.score import score_gateway

SIZE = (240, 320)


def test_a_running_system_is_scored(system: System, tmp_path: Path) -> None:
    picture = png(tshirt(SIZE, "navy", "white"))
    true = (np.asarray(tshirt(SIZE, "black", "white").convert("L")) < 128).astype(np.uint8)
    write_archive(
        tmp_path,
        "people",
        [{"file": "shirt.png", "label": "T-Shirt", "kids": "False"}],
        {"shirt.png": picture},
    )
    (tmp_path / "street-labels.txt").write_text("null\nt-shirt\n")
    write_archive(
        tmp_path,
        "street",
        [{"file": "shirt.png", "mask": "shirt.mask.png", "tags": "t-shirt"}],
        {"shirt.png": picture, "shirt.mask.png": png(true)},
    )
    with Client(system.gateway) as client:
        found = score_gateway(client, tmp_path, ["people", "street"])
    assert found["people"]["n"] == found["street"]["n"] == 1
    assert found["people"]["failed"] == found["street"]["failed"] == 0
    assert found["people"]["right"] == 1.0
    assert found["street"]["mask_iou"] > 0.8
    assert found["street"]["mask_iou_by_garment"]["t-shirt"] == found["street"]["mask_iou"]
