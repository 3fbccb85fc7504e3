"""Updates of made-up jobs, like those of the real pipeline. Equal sizes give equal updates."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from agents.vision.text.caption import WEARERS
from agents.vision.text.garments import COLOUR_MEMBERS, MEMBERS
from storage.jobs.store import JobUpdate, StageCompleted, StageError, StageFailure, Submitted

WANTED = (
    *("validation", "captioning", "classification", "pose", "shots", "thumbnailing"),
    "annotation",
)
NEED_POSE = ("pose", "shots", "annotation")
TYPES = sorted({member for members in MEMBERS.values() for member in members})
COLOURS = sorted({member for members in COLOUR_MEMBERS.values() for member in members})
GROUP_SIZE = 100
OWNER_SIZE = 500
RARE = 20  # about so many jobs have the rare word, at any size of the store
START = datetime(2026, 1, 1, tzinfo=UTC)


def updates(size: int) -> Iterator[list[JobUpdate]]:
    """Yield the updates of each job.

    88 % of the jobs are completed, 6 % failed and 6 % unfinished. So even 1,000 jobs have a page
    of each kind.
    """
    chance = random.Random(size)  # noqa: S311
    for number in range(size):
        yield _updates(number, rare=number % (size // RARE) == 0, chance=chance)


def _updates(number: int, *, rare: bool, chance: random.Random) -> list[JobUpdate]:
    at = START + timedelta(seconds=number)
    job_id = str(UUID(int=(int(at.timestamp() * 1000) << 80) | chance.getrandbits(76)))
    outcome = chance.random()
    submitted = Submitted(
        job_id,
        1,
        at,
        {"object": f"incoming/{job_id}"},
        WANTED,
        owner=f"session-{number // OWNER_SIZE}",
        group=f"album-{number // GROUP_SIZE}",
        metadata={"sku": f"A-{number:07}", "shelf": chance.randrange(400)},
    )
    if outcome < 0.02:
        return [submitted]
    results = _results(job_id, rare, chance)
    done = [
        StageCompleted(job_id, 1, at, stage, result, WANTED, started_at=at)
        for stage, result in results.items()
    ]
    if outcome < 0.06:
        return [submitted, *done[:3]]
    if outcome < 0.12:
        error = StageError("pose", "error", "stage-error", "The stage failed", "detail " * 20)
        failed = StageFailure(job_id, 1, at, error, WANTED, ("shots", "annotation"))
        return [submitted, *(one for one in done if one.stage not in NEED_POSE), failed]
    return [submitted, *done]


def _results(job_id: str, rare: bool, chance: random.Random) -> dict[str, dict[str, Any]]:
    digest = sha256(job_id.encode()).hexdigest()
    # A few types and colours are much more frequent than the others.
    kind = TYPES[min(int(chance.expovariate(0.15)), len(TYPES) - 1)]
    colour = COLOURS[min(int(chance.expovariate(0.2)), len(COLOURS) - 1)]
    wearer = chance.choice(list(WEARERS.values()))[0]
    caption = f"{wearer} {colour} {kind}{' sequinned' if rare else ''}".title()
    labels = [{"label": TYPES[rank], "probability": 0.2} for rank in range(4)]
    model = "garment-net-1-0123456789ab"
    points = {f"point-{n}": {"x": 0.51234, "y": 0.61234, "score": 0.98765} for n in range(33)}
    shots = [
        {"label": label, "key": f"shots/{digest}/crop-1/{label}.jpg", "width": 512, "height": 640}
        for label in ("upper", "lower", "full", "collar", "sleeve")
    ]
    widths = (64, 128, 256, 512)
    keys = [f"thumbnails/{digest}/{width}x{width}.jpg" for width in widths]
    return {
        "validation": {
            "sha256": digest,
            "perceptual_hash": digest[:16],
            "original": f"originals/{digest}",
            "working": f"working/{digest}.jpg",
            "width": 1800,
            "height": 2400,
            "format": "jpeg",
            "bytes": 345678,
        },
        "captioning": {
            "caption": caption,
            "description": f"A {kind}. The main colour is {colour}.",
            "attributes": {
                "type": {"value": kind, "confidence": 0.8},
                "colour": {"value": colour, "confidence": 0.7},
            },
            "model": model,
        },
        "classification": {
            "top5": [{"label": kind, "probability": 0.8}, *labels],
            "model": model,
        },
        "pose": {"subject": "person", "keypoints": points, "box": [0.1, 0.1, 0.9, 0.9]},
        "shots": {"shots": shots},
        "thumbnailing": {"thumbnails": keys, "thumbhash": "3OcRJYB4d3h/iIeHeEh3eIhw+j3A"},
        "annotation": {"key": f"annotated/{digest}/1.jpg", "width": 768, "height": 1024},
    }
